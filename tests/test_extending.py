"""What a loss of one's own and a second teacher cost; both run and resume."""

import shutil

import pytest
import torch
from helpers import digits_config, tiny_classifier
from mmengine.config import Config

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner

# Zhao et al., Decoupled Knowledge Distillation, CVPR 2022.
LOGIT_LOSS = """
import torch
import torch.nn.functional as F

from mmdistill.models.losses import DistillLoss
from mmdistill.ops import labeled_mean
from mmdistill.registry import MODELS


@MODELS.register_module()
class DecoupledLoss(DistillLoss):
    level = 'logits'
    requires = ('label',)

    def __init__(self, alpha=1.0, beta=8.0, temperature=4.0, loss_weight=1.0):
        super().__init__(loss_weight)
        self.alpha, self.beta, self.temperature = alpha, beta, temperature

    def forward(self, student, teacher, label):
        s, t = student / self.temperature, teacher / self.temperature
        target = F.one_hot(label.clamp(min=0), s.shape[1]).bool()
        own = [x.softmax(1)[target].clamp(1e-6, 1 - 1e-6) for x in (s, t)]
        pairs = [torch.stack([p, 1 - p], 1).log() for p in own]
        rest = [F.log_softmax(x - 1000 * target, dim=1) for x in (s, t)]
        first, second = (
            F.kl_div(a, b, reduction='none', log_target=True).sum(1)
            for a, b in (pairs, rest)
        )
        values = self.alpha * first + self.beta * second
        scale = self.loss_weight * self.temperature**2
        return scale * labeled_mean(values, label)
"""

# With trained adapters between maps of different widths.
FEATURE_LOSS = """
import torch.nn.functional as F
from torch import nn

from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class AdaptedLoss(DistillLoss):
    level = 'maps'

    def __init__(self, student_channels, teacher_channels, loss_weight=1.0):
        super().__init__(loss_weight)
        pairs = zip(student_channels, teacher_channels, strict=True)
        self.adapters = nn.ModuleList(nn.Conv2d(s, t, 1) for s, t in pairs)

    @classmethod
    def infer(cls, student, target):
        return dict(
            student_channels=student.channels, teacher_channels=target.channels
        )

    def forward(self, student, teacher):
        pairs = zip(self.adapters, student, teacher, strict=True)
        return self.loss_weight * sum(
            F.mse_loss(adapter(s), t) for adapter, s, t in pairs
        )
"""


def code_lines(text):
    return [line for line in text.splitlines() if line.strip()]


def teacher_file(folder, **network):
    """A file of a random network, as the teacher of all runs of a test."""
    from mmdistill.registry import MODELS

    torch.manual_seed(1)
    path = folder / f'{len(list(folder.glob("*.pth")))}.pth'
    model = MODELS.build(tiny_classifier(**network))
    model.init_weights()
    torch.save(model.state_dict(), path)
    return str(path)


def run(folder, model, epochs, resume=False, imports=()):
    cfg = digits_config(folder, resume=resume)
    cfg.model.update(model)
    cfg.train_cfg.max_epochs = epochs
    if imports:
        cfg.custom_imports = dict(imports=list(imports))
    file = folder.with_suffix('.py')
    cfg.dump(file)
    runner = DistillRunner.from_cfg(Config.fromfile(file))
    runner.train()
    return runner


def trains_and_resumes(tmp_path, model, imports=()):
    """The checkpoint of a run that equals the one that was stopped."""
    run(tmp_path / 'stopped', model, 1, imports=imports)
    shutil.copytree(tmp_path / 'stopped', tmp_path / 'copy')
    run(tmp_path / 'copy', model, 2, resume=True, imports=imports)
    whole = run(tmp_path / 'whole', model, 2, imports=imports)
    one, other = (
        load_file(tmp_path / name / 'epoch_2.pth')['state_dict']
        for name in ('copy', 'whole')
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    first = load_file(tmp_path / 'stopped' / 'epoch_1.pth')['state_dict']
    assert any(not torch.equal(first[key], one[key]) for key in one)
    return whole


@pytest.mark.parametrize(
    'name, text, config',
    [
        ('decoupled', LOGIT_LOSS, dict(type='DecoupledLoss', beta=2.0)),
        ('adapted', FEATURE_LOSS, dict(type='AdaptedLoss', loss_weight=0.1)),
    ],
)
def test_a_loss_is_one_file_and_one_line(
    tmp_path, monkeypatch, name, text, config
):
    assert len(code_lines(text)) <= 30
    module = f'my_{name}_loss'
    (tmp_path / f'{module}.py').write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    model = dict(
        losses={name: config},
        teacher_ckpt=teacher_file(tmp_path, depth=14, widths=(4, 8, 8, 16)),
        teacher=tiny_classifier(depth=14, widths=(4, 8, 8, 16)),
    )
    runner = trains_and_resumes(tmp_path, model, [module])
    log = runner.message_hub.log_scalars[f'train/{name}'].data[0]
    assert log[-1] < log[0]


def test_two_teachers_are_no_code(tmp_path):
    wide = dict(depth=14, widths=(4, 8, 8, 24))
    deep = dict(depth=20)
    model = dict(
        teacher=None,
        teachers=dict(
            wide=dict(
                model=tiny_classifier(**wide),
                ckpt=teacher_file(tmp_path, **wide),
            ),
            deep=dict(
                model=tiny_classifier(**deep),
                ckpt=teacher_file(tmp_path, **deep),
                preprocessor=dict(mean=[0.0], std=[255.0]),
            ),
        ),
        losses=dict(
            kd=dict(type='KDLoss', target='wide'),
            other_kd=dict(type='KDLoss', target='deep', loss_weight=0.5),
            hint=dict(type='HintLoss', target='wide', maps=(3,)),
            crd=dict(
                type='CRDLoss', target='deep', embed_dim=8, num_negatives=16
            ),
        ),
    )
    runner = trains_and_resumes(tmp_path, model)
    model = runner.model
    assert sorted(model.targets) == ['deep', 'wide']
    assert not any('wide' in key for key in model.state_dict())
    meta = load_file(tmp_path / 'whole' / 'epoch_2.pth')['meta']
    for name, target in model.targets.items():
        assert meta[f'{name}_sha256'] == target.fingerprint()
    assert model.losses.hint.regressors[0].weight.shape[:2] == (24, 16)


def two(**losses):
    return dict(
        teacher=None,
        teachers={
            name: dict(model=tiny_classifier(depth=14)) for name in 'ab'
        },
        losses=losses or dict(kd=dict(type='KDLoss', target='a')),
    )


@pytest.mark.parametrize(
    'model, message',
    [
        (two(kd=dict(type='KDLoss')), r"which of \['a', 'b'\].*kd.target"),
        (two(kd=dict(type='KDLoss', target='teacher')), "has \\['a', 'b'\\]"),
        (
            two() | dict(teachers=dict(student=two()['teachers']['a'])),
            'cannot be called',
        ),
        (
            two()
            | dict(
                teacher=tiny_classifier(),
                teachers=dict(teacher=two()['teachers']['a']),
            ),
            'have one name',
        ),
        (
            two() | dict(teachers=dict(a=dict(type='ImageClassifier'))),
            r'model.teachers.a is dict\(model=',
        ),
        (two() | dict(teachers=dict(a=dict(ckpt='a.pth'))), 'must be there'),
    ],
)
def test_what_is_wrong_with_teachers_is_said(tmp_path, model, message):
    cfg = digits_config(tmp_path)
    cfg.model.update(model)
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(cfg)


def test_another_of_two_teachers_on_resume(tmp_path):
    ckpts = [teacher_file(tmp_path, depth=14) for _ in range(2)]
    model = two(
        kd=dict(type='KDLoss', target='a'),
        more=dict(type='KDLoss', target='b'),
    )
    for name, ckpt in zip('ab', ckpts, strict=True):
        model['teachers'][name]['ckpt'] = ckpt
    run(tmp_path / 'run', model, 1)
    weights = load_file(ckpts[1])
    torch.save({k: v + 1 for k, v in weights.items()}, ckpts[1])
    with pytest.raises(ValueError, match=r'another b .*model.teachers.b.ckpt'):
        run(tmp_path / 'run', model, 2, resume=True)
