from __future__ import annotations

import math

from mmdistill.engine.hooks.attribute_schedule_hook import (
    AttributeScheduleHook,
)
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class RampUpHook(AttributeScheduleHook):
    """Lets a number of the model grow to ``end`` over the first epochs.

    end * exp(-5 (1 - epoch / epochs)^2) in epoch 0, 1, ..., then ``end``: a
    function of the epoch, so it resumes by itself. OKDDip lets the weight of
    its loss grow this way.

    Paper: Laine and Aila, Temporal Ensembling for Semi-Supervised Learning,
    ICLR 2017, https://arxiv.org/abs/1610.02242, section 3.

    Args:
        attribute: path of the number in the model, such as
            'losses.okddip.loss_weight'.
        end: the value that is reached.
        epochs: number of epochs until then; 80 for OKDDip.
    Raises:
        ValueError: if there is no such number.
    Config:
        default_hooks=dict(ramp_up=dict(
            type='RampUpHook', end=1.0, epochs=80,
            attribute='losses.okddip.loss_weight'))
    """

    def __init__(self, attribute: str, end: float, epochs: int) -> None:
        super().__init__(attribute, end * math.exp(-5), end, epochs)

    def value_at(self, epoch: int) -> float:
        left = 1 - min(epoch / self.epochs, 1.0)
        return self.end * math.exp(-5 * left**2)
