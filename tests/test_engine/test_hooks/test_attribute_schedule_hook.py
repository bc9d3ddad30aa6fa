"""Attributes that change as a run goes on."""

import pytest
from helpers import hooked


def test_attribute_schedule(tmp_path):
    hook = dict(
        type='AttributeScheduleHook',
        attribute='losses.kd.temperature',
        start=1.0,
        end=4.0,
        epochs=3,
    )
    runner = hooked(tmp_path, hook, epochs=4)
    seen = []
    loss = runner.model.losses['kd']
    loss.register_forward_pre_hook(lambda *_: seen.append(loss.temperature))
    runner.train()
    assert seen == pytest.approx([1.0] * 3 + [2.5] * 3 + [4.0] * 6)


def test_attribute_schedule_resumes(tmp_path):
    hook = dict(
        type='AttributeScheduleHook',
        attribute='losses.kd.temperature',
        start=1.0,
        end=4.0,
        epochs=2,
    )
    hooked(tmp_path, hook, epochs=1).train()
    runner = hooked(tmp_path, hook, epochs=3, resume=True)
    runner.train()
    assert runner.model.losses['kd'].temperature == 4.0


@pytest.mark.parametrize('path', ['losses.kd.heat', 'losses.crd.temperature'])
def test_attribute_that_is_none(tmp_path, path):
    hook = dict(
        type='AttributeScheduleHook', attribute=path, start=0, end=1, epochs=2
    )
    with pytest.raises(ValueError, match='no number'):
        hooked(tmp_path, hook).train()
