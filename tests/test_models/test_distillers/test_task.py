"""The task of the student: its weight, its labels, its accuracy."""

import numpy as np
import pytest
import torch
from helpers import digits_batch, losses_of, run_distributed, tiny_classifier
from offline_distiller import build
from torch import nn


def test_task_weight():
    model = build(task_weight=1.0)
    batch = digits_batch()
    full = model(**model.data_preprocessor(batch, True), mode='loss')
    model.task_weight = 0.1
    part = model(**model.data_preprocessor(batch, True), mode='loss')
    torch.testing.assert_close(part['task'], 0.1 * full['task'])
    torch.testing.assert_close(part['kd'], full['kd'])


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
