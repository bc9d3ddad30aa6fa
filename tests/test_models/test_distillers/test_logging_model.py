"""What a model logs beside what it is trained on."""

import pytest
import torch
from helpers import digits_batch, tiny_classifier

from mmdistill.registry import MODELS

LOSSES = dict(kd=dict(type='KDLoss'), own=dict(type='WithDiagnostic'))


def distiller(losses=LOSSES, **kwargs):
    return MODELS.build(
        dict(
            type='OfflineDistiller',
            student=tiny_classifier(),
            teacher=tiny_classifier(),
            losses=losses,
            data_preprocessor=dict(mean=[73.2], std=[90.24]),
            input_size=(1, 8, 8),
            **kwargs,
        )
    )


def step(model):
    data = model.data_preprocessor(digits_batch(), True)
    return model.parse_losses(model(**data, mode='loss'))


def test_a_diagnostic_is_logged_and_never_trained_on():
    total, log = step(distiller())
    assert list(log) == ['loss', 'task', 'kd', 'own', 'own/scale']
    parts = log['task'] + log['kd'] + log['own']
    torch.testing.assert_close(total, parts)
    assert log['own/scale'] > 10 and not log['own/scale'].requires_grad


def test_a_distiller_logs():
    model = distiller()
    losses = dict(kd=torch.ones((), requires_grad=True))
    model.log('norm', 3)
    total, log = model.parse_losses(losses)
    assert total == 1 and log['norm'] == 3
    # what is named no loss and has no gradient is logged only
    total, log = model.parse_losses({**losses, 'accuracy': torch.tensor(90.0)})
    assert total == 1 and log['accuracy'] == 90
    total, _ = model.parse_losses({**losses, 'my_loss': 2 * losses['kd']})
    assert total == 3
    with pytest.raises(ValueError, match="'contrast'.*own_losses"):
        model.parse_losses({**losses, 'contrast': 2 * losses['kd']})
    with pytest.raises(ValueError, match='one number, got shape .2,'):
        model.log('norm', torch.ones(2))


def test_a_dict_without_a_loss_is_refused():
    model = distiller()
    with pytest.raises(ValueError, match=r"losses.own .*'scale'"):
        model.counted('own', dict(scale=1))


def test_a_head_that_measures_accuracy_is_not_trained_on_it():
    model = distiller()
    before, _ = step(model)
    model.student.head.cal_acc = True
    after, _ = step(model)
    torch.testing.assert_close(before, after)
