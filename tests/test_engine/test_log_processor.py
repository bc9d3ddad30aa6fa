"""Logged parts add up to the total; diagnostics are logged, not trained."""

import json

import pytest
import torch
from helpers import digits_batch, digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class WithDiagnostic(DistillLoss):
    level = 'logits'

    def forward(self, student, teacher):
        loss = self.loss_weight * (student - teacher).pow(2).mean()
        return dict(loss=loss, scale=10 + student.abs().mean())


LOSSES = dict(kd=dict(type='KDLoss'), own=dict(type='WithDiagnostic'))


def records(folder):
    (path,) = folder.glob('*/vis_data/scalars.json')
    return [
        record
        for record in map(json.loads, path.read_text().splitlines())
        if 'loss' in record
    ]


@pytest.mark.parametrize(
    'settings', [None, dict(by_epoch=False), dict(type='LogProcessor')]
)
def test_parts_add_up(tmp_path, settings):
    cfg = digits_config(tmp_path, LOSSES)
    cfg.default_hooks.logger.interval = 1
    if settings is not None:
        cfg.log_processor = settings
    DistillRunner.from_cfg(cfg).train()
    found = records(tmp_path)
    assert len(found) == 6
    for record in found:
        parts = record['task'] + record['kd'] + record['own']
        assert parts == pytest.approx(record['loss'], rel=1e-5)
        assert record['own/scale'] > 10
    # the accuracy of a validation is no mean
    assert len({record['loss'] for record in found}) == 6


def test_parts_that_begin_later_add_up(tmp_path):
    """Another stage has other losses: old ones are gone from the log."""
    cfg = digits_config(tmp_path, LOSSES)
    cfg.default_hooks.logger.interval = 1
    runner = DistillRunner.from_cfg(cfg)
    original, steps = runner.model.loss, []

    def loss(*args, **kwargs):
        steps.append(1)
        losses = original(*args, **kwargs)
        del losses['kd' if len(steps) < 4 else 'own']
        return losses

    runner.model.loss = loss
    runner.train()
    for i, record in enumerate(records(tmp_path)):
        names = {'task', 'own' if i < 3 else 'kd'}
        assert ('kd' in record, 'own' in record) == (i >= 3, i < 3)
        parts = sum(record[name] for name in names)
        assert parts == pytest.approx(record['loss'], rel=1e-5)


def test_a_mean_pattern_is_the_users(tmp_path):
    cfg = digits_config(tmp_path, log_processor=dict(mean_pattern='.*kd.*'))
    runner = DistillRunner.from_cfg(cfg)
    assert type(runner.log_processor).__name__ == 'LogProcessor'


# Diagnostics ----------------------------------------------------------------
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
