"""Learning from a momentum copy of oneself, over views."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import (
    crops_config,
    digits_batch,
    distiller,
    tiny_encoder,
    trained,
)

from mmdistill.registry import MODELS

PROTOTYPES = dict(type='PrototypeHead', num_prototypes=9)
ENCODER = tiny_encoder(prototypes=PROTOTYPES)
DINO = dict(dino=dict(type='DINOLoss'))


def config(losses=DINO, **kwargs):
    cfg = dict(student=ENCODER, losses=losses)
    return distiller('SelfDistiller', **cfg | kwargs)


def build(*args, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(config(*args, **kwargs))


def crops(size=8, local=2):
    """Two full crops and some small ones, as the preprocessor gives them."""
    torch.manual_seed(1)
    views = [torch.randn(size, 1, 8, 8) for _ in range(2)]
    views += [torch.randn(size, 1, 4, 4) for _ in range(local)]
    return dict(inputs=views, data_samples=digits_batch(size)['data_samples'])


def test_dino_by_hand():
    """All pairs of a full crop's target with another view."""
    model = build().double()
    model.train()
    data = crops()
    data['inputs'] = [view.double() for view in data['inputs']]
    reference = copy.deepcopy(model)
    value = model(**data, mode='loss')['dino']
    student, teacher = reference.student, reference.teacher

    def scores(net, groups):
        features = [net.neck(net.backbone(torch.cat(g)))[-1] for g in groups]
        embedding = net.head(torch.cat(features))
        return net.prototypes(F.normalize(embedding)).split(8)

    s = scores(student, [data['inputs'][:2], data['inputs'][2:]])
    t = scores(teacher, [data['inputs'][:2]])
    terms = [
        -((t[i] / 0.04).softmax(1) * (s[v] / 0.1).log_softmax(1)).sum(1).mean()
        for i in range(2)
        for v in range(4)
        if i != v
    ]
    torch.testing.assert_close(value, sum(terms) / 6, rtol=1e-6, atol=0)


def test_one_forward_a_size_and_the_teacher_sees_full_crops_only():
    model = build()
    seen = dict(student=[], teacher=[])
    for name, shapes in seen.items():
        getattr(model, name).backbone.register_forward_pre_hook(
            lambda _, args, shapes=shapes: shapes.append(args[0].shape)
        )
    model(**crops(), mode='loss')
    assert [tuple(s) for s in seen['student']] == [
        (16, 1, 8, 8),
        (16, 1, 4, 4),
    ]
    assert [tuple(s) for s in seen['teacher']] == [(16, 1, 8, 8)]


def test_the_copy_learns_nothing_and_keeps_the_batch_statistics():
    model = build().train()
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert model.teacher.backbone.bn1.training
    sum(model(**crops(), mode='loss').values()).backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    learning = {n for n, p in model.named_parameters() if p.grad is not None}
    assert learning == {f'student.{n}' for n, _ in
                        model.student.named_parameters()}  # fmt: skip


def test_teacher_of_its_own_config():
    teacher = copy.deepcopy(ENCODER)
    teacher['head']['dropout'] = 0.5
    model = build(teacher=teacher)
    assert model.teacher.head.dropout == (0.5, 0.5)
    assert model.student.head.dropout == (0.0, 0.0)


def test_several_losses_and_single_view_ones():
    """A loss that takes one view compares the first full crop."""
    losses = dict(
        protocpc=dict(type='ProtoCPCLoss'),
        sp=dict(type='PKTLoss'),
        seed=dict(type='SEEDLoss', queue_size=32),
    )
    model = build(losses)
    model.train()
    model.losses['sp'].register_forward_pre_hook(
        lambda _, args: (args[0].clone(), args[1])
    )
    values = model(**crops(), mode='loss')
    assert set(values) == set(losses)
    sum(values.values()).backward()
    assert len(model.losses.seed.queue) == 16  # of both full crops


def test_one_crop_is_refused():
    data = crops()
    for inputs in (data['inputs'][0], data['inputs'][:1]):
        with pytest.raises(ValueError, match='MultiCrop'):
            build()(**dict(data, inputs=inputs), mode='loss')


def test_one_full_crop_teaches_the_small_ones():
    data = crops(local=3)
    del data['inputs'][1]
    assert build()(**data, mode='loss')['dino'].isfinite()


HOOKS = dict(
    teacher=dict(
        type='MomentumUpdateHook',
        source='student',
        target='teacher',
        momentum=0.9,
        end_momentum=1.0,
        schedule='cosine',
    ),
    prototypes=dict(type='FreezeHook', module='student.prototypes', epochs=1),
    temperature=dict(
        type='AttributeScheduleHook',
        attribute='losses.dino.teacher_temperature',
        start=0.04,
        end=0.07,
        epochs=3,
    ),
    finite_loss=dict(interval=2),
    export_student=dict(metric='knn/top1_k20'),
)


def run(work_dir, model, hooks=HOOKS, epochs=2, resume=False):
    cfg = crops_config(work_dir, model, default_hooks=hooks, resume=resume)
    cfg.train_cfg.max_epochs = epochs
    return trained(cfg)


def test_real_run(tmp_path):
    runner = run(tmp_path, config())
    model = runner.model
    assert model.losses['dino'].teacher_temperature == pytest.approx(0.055)
    assert (tmp_path / 'student_best.pth').is_file()
    student = dict(model.student.named_parameters())
    for name, value in model.teacher.named_parameters():
        assert not torch.equal(value, student[name])


def test_real_run_with_a_teacher_of_its_own_config(tmp_path):
    """Its buffers pair up with the student's, those of pixels included."""
    teacher = copy.deepcopy(ENCODER)
    teacher['head']['dropout'] = 0.5
    model = run(tmp_path, config(teacher=teacher), epochs=1).model
    mean = model.student.data_preprocessor.mean
    assert torch.equal(model.teacher.data_preprocessor.mean, mean)


def test_a_copy_that_nothing_moves_is_refused(tmp_path):
    said = r"no hook moves \['teacher'\].*MomentumUpdateHook"
    with pytest.raises(ValueError, match=said):
        run(tmp_path, config(), hooks={}, epochs=1)


def test_resumed_equals_never_stopped(tmp_path):
    losses = dict(dino=dict(type='DINOLoss'), cpc=dict(type='ProtoCPCLoss'))
    whole = run(tmp_path / 'whole', config(losses)).model.state_dict()
    run(tmp_path / 'parts', config(losses), epochs=1)
    # the momentum's schedule is over all epochs of the config
    resumed = run(tmp_path / 'parts', config(losses), resume=True)
    constant = [
        name for name in whole if not name.startswith(('teacher', 'student'))
    ]
    running = {'losses.dino.center.value', 'losses.cpc.prior.value'}
    assert running <= set(constant)
    assert whole.keys() == resumed.model.state_dict().keys()


def test_momentum_copy_resumes_exactly(tmp_path):
    hooks = copy.deepcopy(HOOKS)
    hooks['teacher'] = dict(
        type='MomentumUpdateHook',
        source='student',
        target='teacher',
        momentum=0.9,
    )
    whole = run(tmp_path / 'whole', config(), hooks).model.state_dict()
    run(tmp_path / 'parts', config(), hooks, epochs=1)
    resumed = run(tmp_path / 'parts', config(), hooks, resume=True)
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, whole[name]), name
