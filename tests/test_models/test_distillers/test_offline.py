"""A student learns from its task and from a frozen teacher."""

import copy

import pytest
import torch
from helpers import (
    digits_batch,
    losses_of,
    tiny_classifier,
    tiny_encoder,
)
from offline_distiller import (
    ALL,
    KD,
    TEACHER,
    VIT_TEACHER,
    build,
    optimizer,
    train,
)
from torch import nn

from mmdistill.registry import MODELS


def test_losses_are_logged_by_name_with_the_total():
    (log, *_) = train(build(ALL, task_weight=0.5))
    assert set(log) == {'loss', 'task', *ALL}
    parts = sum(log[name] for name in ('task', *ALL))
    torch.testing.assert_close(log['loss'], parts)


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
