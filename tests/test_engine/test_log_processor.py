"""Logged parts add up to the total."""

import json

import pytest
from helpers import digits_config

from mmdistill.engine.runner import DistillRunner

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


def test_speed_is_logged(tmp_path):
    """Images of all processes over the time of a step, and the waiting."""
    cfg = digits_config(tmp_path, LOSSES)
    cfg.default_hooks.logger.interval = 1
    cfg.log_processor = dict(window_size=1)
    DistillRunner.from_cfg(cfg).train()
    for record in records(tmp_path):
        expected = 32 / record['time']
        assert record['images_per_second'] == pytest.approx(expected, abs=1)
        share = record['data_time'] / record['time']
        assert record['data_wait'] == pytest.approx(share)


def test_without_a_timer_there_is_no_speed(tmp_path):
    cfg = digits_config(tmp_path, LOSSES)
    cfg.default_hooks.timer = None
    DistillRunner.from_cfg(cfg).train()
    assert all('data_wait' not in record for record in records(tmp_path))
