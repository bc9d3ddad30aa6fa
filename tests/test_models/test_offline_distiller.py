import copy

import numpy as np
import pytest
import torch
import torchvision
from helpers import (
    digits_batch,
    distiller,
    losses_of,
    run_distributed,
    tiny_classifier,
    tiny_encoder,
)
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmdistill.checkpoints import CheckpointError
from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS

KD = dict(type='KDLoss')
TEACHER = tiny_classifier(depth=14, widths=(8, 8, 8, 12))
VIT_TEACHER = dict(  # LayerNorm, Dropout and DropPath
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=8
        ),
        img_size=8,
        patch_size=4,
        in_channels=1,
        drop_rate=0.3,
        drop_path_rate=0.5,
    ),
    head=dict(type='VisionTransformerClsHead', num_classes=10, in_channels=8),
)


def config(losses=None, **kwargs):
    losses = dict(kd=KD) if losses is None else losses
    cfg = dict(teacher=TEACHER, losses=losses)
    return distiller('OfflineDistiller', **cfg | kwargs)


def build(losses=None, **kwargs):
    return MODELS.build(config(losses, **kwargs))


def optimizer(model) -> OptimWrapper:
    return build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))
    )


def train(model, steps=3, size=8):
    wrapper = optimizer(model)
    model.train()
    return [
        model.train_step(digits_batch(size, start=10 * i), wrapper)
        for i in range(steps)
    ]


ALL = dict(
    kd=KD,
    crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8, num_samples=40),
    protocpc=dict(type='ProtoCPCLoss'),
    at=dict(type='ATLoss'),
    rkd=dict(type='RKDLoss'),
)


def test_losses_are_logged_by_name_with_the_total():
    (log, *_) = train(build(ALL, task_weight=0.5))
    assert set(log) == {'loss', 'task', *ALL}
    parts = sum(log[name] for name in ('task', *ALL))
    torch.testing.assert_close(log['loss'], parts)


def test_task_weight():
    model = build(task_weight=1.0)
    batch = digits_batch()
    full = model(**model.data_preprocessor(batch, True), mode='loss')
    model.task_weight = 0.1
    part = model(**model.data_preprocessor(batch, True), mode='loss')
    torch.testing.assert_close(part['task'], 0.1 * full['task'])
    torch.testing.assert_close(part['kd'], full['kd'])


def test_predict_and_tensor_are_the_students():
    model = build().eval()
    data = model.data_preprocessor(digits_batch(), False)
    expected = model.student(data['inputs'], mode='tensor')
    torch.testing.assert_close(model(data['inputs'], mode='tensor'), expected)
    samples = model(**data, mode='predict')
    scores = torch.stack([sample.pred_score for sample in samples])
    torch.testing.assert_close(scores, expected.softmax(1))


@pytest.mark.parametrize('teacher', [TEACHER, VIT_TEACHER], ids=['bn', 'vit'])
def test_the_teacher_never_changes(teacher):
    losses = dict(kd=KD, protocpc=dict(type='ProtoCPCLoss'))
    model = build(losses, teacher=teacher)
    before = copy.deepcopy(model.teacher.state_dict())
    inputs = digits_batch()['inputs']
    answer = model.read_targets([inputs], {})['teacher'][0].logits
    train(model, steps=4)
    model.init_weights()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(m.training for m in model.teacher.modules())
    # Dropout and DropPath too are off: twice the same
    again = model.read_targets([inputs], {})['teacher'][0].logits
    assert torch.equal(again, answer)


def test_the_teacher_is_no_submodule():
    model = build()
    teachers = {id(p) for p in model.teacher.parameters()}
    assert not teachers & {id(p) for p in model.parameters()}
    assert not teachers & {
        id(p)
        for group in optimizer(model).optimizer.param_groups
        for p in group['params']
    }
    assert not any('teacher' in key for key in model.state_dict())
    assert all(m is not model.teacher for m in model.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_the_teacher_follows_dtype_and_device():
    model = build().double()
    assert next(model.teacher.parameters()).dtype == torch.float64
    model.to('meta')
    assert next(model.teacher.parameters()).device.type == 'meta'


def test_one_forward_of_each_network():
    model = build(ALL)
    calls = []
    for name in ('student', 'teacher'):
        getattr(model, name).backbone.register_forward_hook(
            lambda *_, name=name: calls.append(name)
        )
    train(model, steps=1)
    assert sorted(calls) == ['student', 'teacher']


# Labels ---------------------------------------------------------------------
def partly_labelled(keep, size=8):
    batch = digits_batch(size)
    for i, sample in enumerate(batch['data_samples']):
        if i not in keep:
            sample.set_gt_label(-1)
    return batch


def test_task_loss_is_the_mean_over_labelled_rows():
    model = build().eval()  # BatchNorm must not join the rows
    got = losses_of(model, partly_labelled({0, 3, 5}))['task']
    data = model.data_preprocessor(digits_batch(), False)
    logits = model.student(data['inputs'])[[0, 3, 5]]
    expected = nn.functional.cross_entropy(logits, torch.tensor([0, 3, 5]))
    torch.testing.assert_close(got, expected)


def test_no_label_in_a_batch():
    model = build()
    losses = losses_of(model, partly_labelled(set()))
    assert losses['task'] == 0
    sum(losses.values()).backward()
    assert all(p.grad.isfinite().all() for p in model.student.parameters())


def test_batch_without_label_fields_in_a_labelled_run():
    model = build()
    losses_of(model, digits_batch())
    losses = losses_of(model, digits_batch(labels=False))
    assert losses['task'] == 0


def test_unlabeled_dataset():
    batch = digits_batch(labels=False)
    with pytest.raises(ValueError, match='task_weight=0'):
        losses_of(build(), batch)
    assert set(losses_of(build(task_weight=0), batch)) == {'kd'}


def task_gradient(rank, world):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(0)
    model = build(task_weight=1.0).eval()
    # three labels for the first process, one for the other
    batch = partly_labelled({0, 1, 2, 7})
    half = slice(rank * 8 // world, (rank + 1) * 8 // world)
    share = {key: value[half] for key, value in batch.items()}
    losses_of(model, share)['task'].backward()
    return model.student.head.fc.weight.grad


def test_task_loss_of_processes_equals_one():
    expected = task_gradient(0, 1).numpy()
    first, second = run_distributed(task_gradient, 2)
    np.testing.assert_allclose((first + second) / 2, expected, atol=1e-6)


def measuring(**kwargs):
    """A student whose head logs its accuracy on training images."""
    student = tiny_classifier()
    student['head'].update(cal_acc=True, topk=(1, 3), **kwargs)
    return student


def test_accuracy_in_training_is_logged_as_mmpretrain_does():
    model = build(student=measuring()).eval()
    head = model.student.head
    head.fc.bias.data += 100  # MMPretrain's wants scores above zero
    batch = model.data_preprocessor(digits_batch(16), True)
    total, log = model.parse_losses(model(**batch, mode='loss'))
    torch.testing.assert_close(total, log['task'] + log['kd'])
    feats = model.student.extract_feat(batch['inputs'])
    expected = head.loss(feats, batch['data_samples'])
    for name in ('accuracy_top-1', 'accuracy_top-3'):
        torch.testing.assert_close(log[name], expected[name][0].squeeze())
    assert 0 < log['accuracy_top-3'] < 100


def test_accuracy_in_training_is_of_the_labelled():
    model = build(student=measuring()).eval()
    batch = model.data_preprocessor(partly_labelled({0, 3, 5}), True)
    _, log = model.parse_losses(model(**batch, mode='loss'))
    logits = model.student(batch['inputs'])[[0, 3, 5]]
    right = logits.argsort(1, descending=True)[:, :3] == torch.tensor(
        [[0], [3], [5]]
    )
    expected = 100 * right.sum() / 3
    torch.testing.assert_close(log['accuracy_top-3'], expected)
    batch = model.data_preprocessor(partly_labelled(set()), True)
    _, log = model.parse_losses(model(**batch, mode='loss'))
    assert log['accuracy_top-1'] == 0


def test_accuracy_in_training_that_cannot_be_measured():
    with pytest.raises(ValueError, match='cal_acc.*task_weight=0'):
        build(student=measuring(), task_weight=0)
    with pytest.raises(ValueError, match='topk=.* 2; lower it'):
        build({}, student=measuring(num_classes=2))
    mixed = dict(
        num_classes=10,
        batch_augments=dict(augments=dict(type='Mixup', alpha=0.5)),
    )
    loss = dict(type='CrossEntropyLoss', use_soft=True)
    model = build(student=measuring(loss=loss), data_preprocessor=mixed)
    with pytest.raises(ValueError, match='cal_acc.*batch_augments'):
        losses_of(model, digits_batch())


# Teacher files --------------------------------------------------------------
@pytest.fixture
def teacher_file(tmp_path):
    torch.manual_seed(7)
    teacher = MODELS.build(TEACHER)
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), path)
    return path, teacher.state_dict()


def test_teacher_ckpt(teacher_file):
    path, state = teacher_file
    model = build(teacher_ckpt=str(path))
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize('layout', ['plain', 'module', 'distiller'])
def test_teacher_ckpt_layouts(teacher_file, layout, tmp_path):
    path, state = teacher_file
    prefix = dict(plain='', module='module.', distiller='student.')[layout]
    renamed = {prefix + key: value for key, value in state.items()}
    if layout == 'distiller':
        renamed['losses.x.prior'] = torch.ones(3)
    path = tmp_path / 'other.pth'
    torch.save(renamed if layout == 'plain' else dict(state_dict=renamed),
               path)  # fmt: skip
    model = build(teacher_ckpt=str(path))
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, state[name])


def test_teacher_in_torchvisions_layout(tmp_path):
    resnet = torchvision.models.resnet18(num_classes=10).eval()
    torch.save(resnet.state_dict(), tmp_path / 'resnet18.pth')
    teacher = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=512),
    )
    student = tiny_classifier()
    student['backbone']['in_channels'] = 3
    model = build(
        teacher=teacher,
        student=student,
        teacher_ckpt=str(tmp_path / 'resnet18.pth'),
        input_size=(3, 32, 32),
    )
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.teacher(images), resnet(images))


def test_missing_teacher_is_an_error_when_training_starts(tmp_path):
    model = build(teacher_ckpt=str(tmp_path / 'nowhere.pth'))
    model(digits_batch()['inputs'], mode='tensor')  # test needs no teacher
    with pytest.raises(FileNotFoundError, match='nowhere.*teacher_ckpt'):
        model.init_weights()
    with pytest.raises(FileNotFoundError, match='teacher_ckpt'):
        losses_of(model, digits_batch())


@pytest.mark.parametrize(
    'teacher, message',
    [
        (tiny_classifier(depth=8, widths=(8, 8, 8, 12)), 'left over'),
        (tiny_classifier(depth=20, widths=(8, 8, 8, 12)), 'missing'),
        (tiny_classifier(depth=14, widths=(8, 8, 8, 16)), 'size mismatch'),
        (
            tiny_classifier(depth=14, widths=(8, 8, 8, 12), classes=7),
            'num_classes',
        ),
    ],
)
def test_teacher_of_another_kind(teacher_file, teacher, message):
    with pytest.raises(CheckpointError, match=message) as error:
        build(teacher=teacher, teacher_ckpt=str(teacher_file[0]))
    assert 'model.teacher' in str(error.value)


def test_truncated_teacher(teacher_file):
    path = teacher_file[0]
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=str(path)):
        build(teacher_ckpt=str(path))


def test_own_teacher_preprocessor():
    model = build(teacher_preprocessor=dict(mean=[0.0], std=[1.0]))
    data = model.data_preprocessor(digits_batch(), True)
    raw = digits_batch()['inputs']
    torch.testing.assert_close(data['teacher_inputs'], raw)
    torch.testing.assert_close(data['inputs'], (raw - 120) / 60)
    got = model(**data, mode='loss')['kd']
    student = model.student((raw - 120) / 60)
    expected = model.losses['kd'](student, model.teacher(raw))
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match='batch_augments'):
        build(
            data_preprocessor=dict(
                num_classes=10,
                batch_augments=dict(augments=dict(type='Mixup', alpha=0.5)),
            ),
            teacher_preprocessor=dict(),
        )  # fmt: skip


def test_mixup():
    model = build(
        data_preprocessor=dict(
            num_classes=10,
            batch_augments=dict(augments=dict(type='Mixup', alpha=0.5)),
        ),
        student=tiny_classifier() | dict(
            head=dict(
                type='LinearClsHead', num_classes=10, in_channels=16,
                loss=dict(type='CrossEntropyLoss', use_soft=True)))
    )  # fmt: skip
    batch = digits_batch()
    model.eval()
    data = model.data_preprocessor(batch, True)
    scores = torch.stack([s.gt_score for s in data['data_samples']])
    log_p = model.student(data['inputs']).log_softmax(1)
    expected = -(scores * log_p).sum(1).mean()
    torch.testing.assert_close(model(**data, mode='loss')['task'], expected)


# Wiring ---------------------------------------------------------------------
@MODELS.register_module()
class RecordingLoss(DistillLoss):
    level = 'maps'

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    @classmethod
    def infer(cls, student, target):
        return dict(channels=(student.channels, target.channels))

    def forward(self, student, teacher):
        self.seen = [[tuple(x.shape) for x in s] for s in (student, teacher)]
        return student[0].sum()


@pytest.mark.parametrize(
    'maps, numbers',
    [('stages', (1, 2, 3)), ('last', (3,)), ('all', (0, 1, 2, 3)),
     ([2], (2,)), ([-1, 0], (3, 0)), ((-2, 3), (2, 3))])  # fmt: skip
def test_which_maps_a_loss_gets(maps, numbers):
    model = build(dict(r=dict(type='RecordingLoss', maps=maps)))
    train(model, steps=1)
    widths = (4, 4, 8, 16), (8, 8, 8, 12)
    sizes = (8, 8, 4, 2)
    loss = model.losses['r']
    for channels, seen, width in zip(
        loss.channels, loss.seen, widths, strict=True
    ):
        assert channels == tuple(width[n] for n in numbers)
        assert seen == [(8, width[n], sizes[n], sizes[n]) for n in numbers]


def test_losses_choose_different_maps():
    model = build(
        {
            'stem': dict(type='RecordingLoss', maps=[0]),
            'last': dict(type='RecordingLoss', maps='last'),
        }
    )
    train(model, steps=1)
    assert model.losses['stem'].seen[0] == [(8, 4, 8, 8)]
    assert model.losses['last'].seen[0] == [(8, 16, 2, 2)]


def test_widths_are_filled_in_and_can_be_given():
    crd = build(ALL).losses['crd']
    assert crd.embed_student.in_features == 16
    assert crd.embed_teacher.in_features == 12
    assert build(ALL).losses['protocpc'].prior.value.shape == (10,)
    wider = dict(r=dict(type='RecordingLoss', channels='given'))
    assert build(wider).losses['r'].channels == 'given'


def test_a_queue_is_as_wide_as_its_level_and_moves_after_backward():
    model = build(
        dict(nce=dict(type='InfoNCELoss', level='feature', queue_size=12)),
        teacher=tiny_classifier(depth=14),
        task_weight=0,
    )
    queue = model.losses.nce.queue
    assert queue.storage.shape == (12, 16)
    batch = digits_batch()
    images = (batch['inputs'] - 120) / 60
    teacher = model.targets['teacher'].reader(images).feature
    losses = losses_of(model, digits_batch())
    assert len(queue) == 0
    assert losses['nce'] == 0  # only the positive: nothing to tell it from
    sum(losses.values()).backward()
    torch.testing.assert_close(
        queue.features, nn.functional.normalize(teacher)
    )


def test_float32_losses_under_autocast():
    model = build(ALL)
    with torch.autocast('cpu', torch.bfloat16):
        losses = losses_of(model, digits_batch())
    assert all(v.dtype == torch.float32 for v in losses.values())
    sum(losses.values()).backward()


def test_plug_in_losses_run_in_float32_too():
    seen = {}

    class Plain(nn.Module):
        level = 'logits'

        def forward(self, student, teacher):
            seen.update(
                student=student.dtype, product=(student @ teacher.t()).dtype
            )
            return (student - teacher).pow(2).mean()  # fmt: skip

    model = build(dict(plain=Plain()))
    with torch.autocast('cpu', torch.bfloat16):
        losses_of(model, digits_batch())
    assert seen == dict(student=torch.float32, product=torch.float32)


@pytest.mark.parametrize(
    'kwargs, kind, message',
    [
        (dict(losses=dict(kd=dict(type='KDLos'))), KeyError, 'KDLoss'),
        (dict(losses=dict(kd=dict(type='Xyzzy'))), KeyError, 'custom_imports'),
        (dict(losses=dict(kd=dict(temperature=4))), ValueError, "'type'"),
        (dict(losses=dict(), task_weight=0), ValueError, 'nothing to learn'),
        (dict(losses=dict(task=KD)), ValueError, 'rename'),
        (dict(teacher=None), ValueError, r'has none; set model\.teacher'),
        (
            dict(losses={'items': KD}),
            ValueError,
            r"'items'.*rename it in model\.losses",
        ),
        (dict(losses={'k.d': KD}), ValueError, r"'k\.d'.*model\.losses"),
        *(
            (
                dict(teacher=None, teachers={name: dict(model=TEACHER)}),
                ValueError,
                rf'model\.teachers\.{name}.*choose another',
            )
            for name in ('items', 'forward', 'a.b')
        ),
        (
            dict(teacher=tiny_classifier(classes=7)),
            ValueError,
            'student gives 10 and the teacher 7',
        ),
        (
            dict(losses=dict(nce=dict(type='InfoNCELoss'))),
            ValueError,
            "'embedding'.*student.*does not have",
        ),
        (
            dict(losses=dict(kd=dict(KD, target='teachers'))),
            ValueError,
            "the target 'teachers'.*it has .*Did you mean 'teacher'",
        ),
        (
            dict(memories=dict(spare=dict(type='FeatureQueue', size=4))),
            ValueError,
            "names 'spare', which no loss of .*'kd'.* keeps",
        ),
        (
            dict(losses=dict(at=dict(type='ATLoss', maps=[0, 5]))),
            ValueError,
            r'\[5\].*gives \[0, 1, 2, 3\]',
        ),
        (
            dict(losses=dict(at=dict(type='ATLoss')), teacher=VIT_TEACHER),
            ValueError,
            r'\[1, 2, 3\] of the student and \[1, 2\] of the teacher',
        ),
        (
            dict(
                losses=dict(at=dict(type='ATLoss', maps=[0])),
                teacher=VIT_TEACHER,
            ),
            ValueError,
            'stem',
        ),
        (dict(input_size=(3, 32, 32)), ValueError, 'input_size'),
    ],
)
def test_bad_config(kwargs, kind, message):
    with pytest.raises(kind, match=message):
        build(**kwargs)


def test_batch_of_one_sample():
    model = build(dict(rkd=dict(type='RKDLoss')))
    with pytest.raises(ValueError, match='drop_last'):
        train(model, steps=1, size=1)
    train(build(), steps=1, size=1)  # most losses take one


def test_no_sample_index():
    model = build(dict(crd=ALL['crd']))
    batch = digits_batch()
    batch['data_samples'] = [
        type(s)().set_gt_label(0) for s in batch['data_samples']
    ]
    with pytest.raises(ValueError, match="'sample_idx'"):
        losses_of(model, batch)


# State dicts ----------------------------------------------------------------
def test_loads_full_and_exported_student():
    model, other = build(ALL), build(ALL)
    train(model, steps=2)
    other.load_state_dict(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    fresh = build(ALL)
    fresh.load_state_dict(model.student.state_dict())
    for name, value in model.student.state_dict().items():
        assert torch.equal(value, fresh.student.state_dict()[name])


@pytest.mark.parametrize('exported', [True, False])
@pytest.mark.parametrize('damage', ['missing', 'shape'])
def test_refuses_an_incomplete_student(exported, damage):
    from mmengine.runner.checkpoint import load_state_dict

    model = build()
    state = (model.student if exported else model).state_dict()
    key = [k for k in state if k.endswith('layer2.0.conv1.weight')][0]
    if damage == 'missing':
        del state[key]
    else:
        state[key] = state[key][:, :1]
    for load in (model.load_state_dict, lambda s: load_state_dict(model, s)):
        with pytest.raises(CheckpointError, match='layer2.0.conv1.weight'):
            load(dict(state))


def test_teachers_share_one_copy_of_the_students_prototypes():
    prototypes = dict(type='PrototypeHead', num_prototypes=5)
    model = build(
        dict(
            a=dict(type='KDLoss', target='a'),
            b=dict(type='KDLoss', target='b'),
        ),
        student=tiny_encoder(prototypes=prototypes),
        teacher=None,
        teachers=dict(
            a=dict(model=tiny_encoder(prototypes=prototypes)),
            b=dict(model=tiny_encoder(depth=14)),
            built=dict(model=MODELS.build(tiny_encoder())),
        ),
        teacher_prototypes='new',
        task_weight=0.0,
    )
    assert model.momentum_copies == ('teacher_prototypes',)
    for target in model.targets.values():
        assert target.reader.prototypes is model.teacher_prototypes


def test_images_for_a_teacher_that_is_not_there():
    """Else it would learn from the student's, without a word."""
    model = build(
        dict(kd=dict(type='KDLoss', target='a')),
        teacher=None,
        teachers=dict(
            a=dict(model=TEACHER, preprocessor=dict(mean=[0.0], std=[1.0]))
        ),
    )
    batch = digits_batch()
    batch['teacher_inputs'] = batch['inputs']
    with pytest.raises(ValueError, match=r"'teacher_inputs'.*'a_inputs'"):
        losses_of(model, batch)
    batch['a_inputs'] = batch.pop('teacher_inputs')
    assert losses_of(model, batch)['kd'].isfinite()
