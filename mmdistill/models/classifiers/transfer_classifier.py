from __future__ import annotations

import logging
import os
from typing import Any

from mmengine.logging import print_log
from mmpretrain.models import ImageClassifier
from torch import nn

from mmdistill.checkpoints import load_strictly, loading_policy
from mmdistill.models.pretrained import (
    read_weights,
    weights_of,
    what_to_change,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class TransferClassifier(ImageClassifier):
    """A classifier initialized with the trained backbone of another run.

    It is for fine-tuning and semi-supervised learning: the whole network is
    trained, the head from scratch. `LinearProbe` freezes the backbone.

    Args:
        backbone, neck, head: as in MMPretrain's ImageClassifier; the backbone
            config of the earlier run.
        checkpoint: a local file: a full checkpoint of a distillation (keys
            ``student.backbone.…``), or an exported student, a classifier or a
            self-supervised encoder (``backbone.…``). It must have all weights
            of the backbone, and of the neck if that has any. It is read when
            training starts and not needed for testing.
        part: which backbone of a full checkpoint to take: 'student', or
            'teacher' if it is trained, too (OSS, the momentum copy of DINO).
        kwargs: further arguments of ImageClassifier.
    Raises:
        FileNotFoundError, CheckpointError: when training starts, if the file
            does not exist or its tensors do not fit; the keys are listed.
    Config:
        model=dict(
            type='TransferClassifier',
            checkpoint='work_dirs/seed_resnet50_resnet18/student.pth',
            backbone=dict(type='ResNet', depth=18),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=1000,
                      in_channels=512))
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | nn.Module | None = None,
        head: dict | nn.Module | None = None,
        checkpoint: str | None = None,
        part: str = 'student',
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, neck, head, **kwargs)
        self.checkpoint = checkpoint
        self.part = part

    def init_weights(self) -> None:
        """Initialize the head from scratch and load the backbone."""
        again = self.is_init
        with loading_policy():
            super().init_weights()
        if again:
            return
        if self.checkpoint is None:
            print_log(
                'model.checkpoint is not set: the backbone starts as its '
                'init_cfg says, at random unless that names a file',
                logger='current',
                level=logging.WARNING,
            )
        else:
            self._load(os.path.expanduser(self.checkpoint))

    def _load(self, path: str) -> None:
        weights = read_weights(path, 'model.checkpoint')
        state = weights_of(weights, self.part, 'model.part')
        given = {
            key: value
            for key, value in state.items()
            if key.startswith(self._trained_parts())
        }
        own = {
            key: value
            for key, value in self.state_dict().items()
            if not key.startswith(self._trained_parts())
        }
        load_strictly(
            self,
            {**own, **given},
            f'the checkpoint {path!r}',
            what_to_change(
                weights,
                f'"{self.part}.backbone" or "backbone"',
                'model.backbone',
                'model.checkpoint',
            ),
            whole=True,
        )
        print_log(
            f'loaded all {len(given)} tensors of the backbone from {path}',
            logger='current',
        )

    def _trained_parts(self) -> tuple[str, ...]:
        """Prefixes of the keys to load from the checkpoint."""
        # Other files may keep a projection head under 'neck.'; load it only if
        # our neck has weights.
        has_neck = self.with_neck and self.neck.state_dict()
        return ('backbone.', 'neck.') if has_neck else ('backbone.',)
