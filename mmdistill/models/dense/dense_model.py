from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdistill.checkpoints import loading_policy
from mmdistill.models.probing import DRY_RUN_SIZE, dry_run
from mmdistill.ops import world_size
from mmdistill.registry import MODELS

NORMS = ('frozen', 'tuned', 'sync')


class DenseModel(BaseModel):
    """A trained backbone at work on another task than it was trained for.

    Args:
        backbone: config of any backbone of MMPretrain or of this package; its
            ``init_cfg`` names the file that it starts from.
        num_classes: that are told apart, as the subclass counts them.
        norm: the backbone's batch norms: 'frozen' keeps their statistics and
            their parameters as loaded; 'tuned' learns both, each process by
            itself; 'sync' learns both with the statistics of all processes.
            Batch norms of new layers always learn, and are synchronized with
            'sync'. One process, or the CPU, has plain batch norms.
        data_preprocessor: default: `DetectionPreprocessor`.
        init_cfg: MMEngine's initialization config.
    Raises:
        ValueError: for an unknown norm, or no classes.
    """

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        norm: str,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if norm not in NORMS:
            raise ValueError(
                f'model.norm is one of {NORMS}, got norm={norm!r}'
            )
        if num_classes < 1:
            raise ValueError(
                'model.num_classes is at least 1, got '
                f'num_classes={num_classes!r}'
            )
        data_preprocessor = data_preprocessor or {}
        super().__init__(
            MODELS.build(
                {'type': 'DetectionPreprocessor', **data_preprocessor}
            ),
            init_cfg,
        )
        self.backbone = MODELS.build(backbone)
        self.num_classes = num_classes
        self.norm = norm

    def init_weights(self) -> None:
        """Initialize it; files are read by our policy."""
        with loading_policy():
            super().init_weights()

    def forward(
        self,
        inputs: list[Tensor],
        data_samples: list[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """What a subclass makes of images, by the mode."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.outputs(inputs)
        raise RuntimeError(
            f"mode is 'loss', 'predict' or 'tensor', got mode={mode!r}"
        )

    @abstractmethod
    def loss(
        self, inputs: list[Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Losses by their names in the log, each ()."""

    @abstractmethod
    def predict(
        self,
        inputs: list[Tensor],
        data_samples: list[BaseDataElement] | None = None,
    ) -> list[BaseDataElement]:
        """The samples, or new ones, with what is found in the images."""

    @abstractmethod
    def outputs(self, inputs: list[Tensor]) -> Any:
        """Tensors of the images, whatever the task makes of them."""

    def set_norms(self) -> None:
        """Apply ``norm``; a subclass calls it when all layers are there."""
        if self.norm == 'frozen':
            for norm in self._frozen_norms():
                norm.requires_grad_(False)
        elif (
            self.norm == 'sync'
            and world_size() > 1
            and torch.cuda.is_available()
        ):
            nn.SyncBatchNorm.convert_sync_batchnorm(self)
        self.train(self.training)

    def train(self, mode: bool = True) -> DenseModel:
        """Put the model into a mode; frozen batch norms stay in eval mode."""
        super().train(mode)
        for norm in self._frozen_norms():
            norm.eval()
        return self

    def _frozen_norms(self) -> list[nn.Module]:
        if self.norm != 'frozen':
            return []
        return [
            m for m in self.backbone.modules() if isinstance(m, _BatchNorm)
        ]

    def map_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the backbone's maps of one image; nothing is drawn.

        Raises:
            ValueError: if the backbone does not take RGB images of any size,
                or gives something else than maps.
        """
        name = f'model.backbone ({type(self.backbone).__name__})'
        maps = dry_run(
            self.backbone,
            self.backbone,
            (3, DRY_RUN_SIZE, DRY_RUN_SIZE),
            name,
            'detection and segmentation need a convolutional backbone that '
            'takes an RGB image of any size',
        )
        maps = maps if isinstance(maps, (tuple, list)) else (maps,)
        shapes = [tuple(getattr(m, 'shape', ())) for m in maps]
        if not shapes or any(len(shape) != 4 for shape in shapes):
            raise ValueError(
                f'{name} gives outputs of shapes {shapes} and no maps of '
                'shape (N, C, H, W); set model.backbone to a network of '
                'stages, such as ResNet, and out_indices to the stages wanted'
            )
        return shapes
