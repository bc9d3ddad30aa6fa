"""The losses of mmdistill for any training loop of PyTorch.

They are modules: tensors in, a weighted scalar out. ``docs/tasks/losses.md``
shows the loop around them, ``examples/`` three that run.
"""

from mmdistill.losses.building import build_loss
from mmdistill.models import losses as _losses
from mmdistill.models.losses import *  # noqa: F403

__all__ = ['build_loss', *_losses.__all__]
