"""What hooks, loops and the runner ask of a run."""

import torch
from helpers import distiller, tiny_classifier
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmdistill.engine.utils import (
    frozen_copies,
    frozen_targets,
    optimizers,
    student_of,
    unwrap,
)
from mmdistill.registry import MODELS


def test_a_distiller_and_a_plain_model():
    teacher = tiny_classifier(depth=14)
    model = MODELS.build(
        distiller('OfflineDistiller', teacher=teacher, slow_student=True,
                  losses=dict(nce=dict(
                      type='SEEDLoss', level='feature', queue_size=8,
                      target='slow_student')))
    )  # fmt: skip
    assert student_of(model) is model.student
    assert list(frozen_targets(model)) == ['teacher']
    assert frozen_copies(model) == model.frozen_copies
    plain = MODELS.build(tiny_classifier())
    assert student_of(plain) is plain
    assert frozen_targets(plain) == {} and frozen_copies(plain) == ()


def test_the_model_inside_a_wrapper():
    model = torch.nn.Linear(2, 2)
    assert unwrap(model) is model
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    torch.nn.Module.__init__(wrapper)
    wrapper.module = model
    assert unwrap(wrapper) is model


def test_one_optimizer_and_several():
    one, other = (
        OptimWrapper(torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), 0.1))
        for _ in range(2)
    )
    assert optimizers(one) == [one.optimizer]
    both = OptimWrapperDict(one=one, other=other)
    assert optimizers(both) == [one.optimizer, other.optimizer]
