"""What hooks, loops and the runner ask of a run."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from torch.optim import Optimizer

from mmdistill.models.distillers import BaseDistiller, Target


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside a distributed wrapper."""
    return model.module if is_model_wrapper(model) else model


def resumed(runner) -> bool:
    """Whether the run goes on from a checkpoint that was there."""
    return runner._resume and runner._has_loaded


def student_of(model: nn.Module) -> nn.Module:
    """What is deployed: a distiller's student, or the model itself."""
    return model.student if isinstance(model, BaseDistiller) else model


def frozen_targets(model: nn.Module) -> dict[str, Target]:
    """The frozen teachers of a model by name; none if it is no distiller."""
    return model.targets.frozen if isinstance(model, BaseDistiller) else {}


def frozen_copies(model: nn.Module) -> tuple[str, ...]:
    """Momentum copies without a counterpart, which stay as they are."""
    return model.frozen_copies if isinstance(model, BaseDistiller) else ()


def optimizers(wrapper: OptimWrapper | OptimWrapperDict) -> list[Optimizer]:
    """The torch optimizers of a run."""
    if isinstance(wrapper, OptimWrapperDict):
        return [one.optimizer for one in wrapper.values()]
    return [wrapper.optimizer]
