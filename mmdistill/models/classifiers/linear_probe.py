from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.classifiers.transfer_classifier import (
    TransferClassifier,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class LinearProbe(TransferClassifier):
    """Train a head on the features of a frozen backbone.

    Backbone and neck stay in eval mode, get no gradients and are not in the
    optimizer (so not subject to weight decay); their weights stay as loaded.

    Args:
        backbone, neck, head, checkpoint, kwargs: as in `TransferClassifier`.
    Raises:
        ValueError: if there is no head to train.
        FileNotFoundError, CheckpointError: as in `TransferClassifier`.
    Config:
        model=dict(
            type='LinearProbe',
            checkpoint='work_dirs/crd_resnet32x4_resnet8x4/student.pth',
            backbone=dict(type='CIFARResNet', depth=8,
                          widths=(32, 64, 128, 256)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=256))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.with_head:
            raise ValueError(
                'LinearProbe trains nothing but its head and has none; set '
                "model.head=dict(type='LinearClsHead', ...)"
            )
        for part in self._frozen():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> LinearProbe:
        """Set the mode of the head; backbone and neck stay in eval mode."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> Any:
        """As in ImageClassifier, without gradient."""
        with torch.no_grad():
            return super().extract_feat(inputs, stage)

    def _frozen(self) -> list[nn.Module]:
        parts = (self.backbone, self.neck)
        return [part for part in parts if part is not None]
