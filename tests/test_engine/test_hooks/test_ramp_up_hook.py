import math

import pytest
from helpers import digits_config

from mmdistill.engine.hooks import RampUpHook
from mmdistill.engine.runner import DistillRunner


def test_value_at():
    hook = RampUpHook('losses.okddip.loss_weight', end=2.0, epochs=80)
    assert hook.value_at(0) == pytest.approx(2 * math.exp(-5))
    assert hook.value_at(40) == pytest.approx(2 * math.exp(-5 / 4))
    assert hook.value_at(80) == hook.value_at(300) == 2.0


def test_run(tmp_path):
    hook = dict(
        type='RampUpHook', attribute='losses.kd.loss_weight', end=1.0, epochs=2
    )
    cfg = digits_config(tmp_path, custom_hooks=[hook])
    cfg.train_cfg.max_epochs = 3
    runner = DistillRunner.from_cfg(cfg)
    loss, seen = runner.model.losses['kd'], []
    loss.register_forward_pre_hook(lambda *_: seen.append(loss.loss_weight))
    runner.train()
    wanted = [math.exp(-5)] * 3 + [math.exp(-5 / 4)] * 3 + [1.0] * 3
    assert seen == pytest.approx(wanted)
