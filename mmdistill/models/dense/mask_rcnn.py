from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import detection
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from mmdistill.models.dense.c4 import SharedRoIAlign, SharedRoIHeads
from mmdistill.models.dense.faster_rcnn import FasterRCNN
from mmdistill.registry import MODELS

#: Hidden channels of the mask predictor, as in torchvision.
MASK_WIDTH = 256


@MODELS.register_module()
class MaskRCNN(FasterRCNN):
    """torchvision's Mask R-CNN on any convolutional backbone.

    With ``neck='c4'`` boxes and masks share the backbone's last stage, as in
    Detectron2's R50-C4; it is saved once, with the backbone.

    Paper: He et al., Mask R-CNN, ICCV 2017, https://arxiv.org/abs/1703.06870.

    Args:
        args: all arguments of `FasterRCNN`.
    Shape:
        As `FasterRCNN`; predictions also have masks (n, H, W) bool, in pixels
        of the input image, and mode 'loss' needs such masks in the samples.
    Raises:
        ValueError: as in `FasterRCNN`, and for samples without masks.
    Config:
        model=dict(
            type='MaskRCNN',
            backbone=dict(type='ResNet', depth=50),
            neck='c4',
            norm='sync',
            num_classes=80)
    """

    network = detection.MaskRCNN
    with_masks = True

    def _fpn_parts(self, levels: int) -> dict[str, Any]:
        pool = MultiScaleRoIAlign(
            [str(i) for i in range(levels)], 14, sampling_ratio=2
        )
        return dict(super()._fpn_parts(levels), mask_roi_pool=pool)

    def _c4_parts(
        self, stages: list[nn.Module], channels: int
    ) -> dict[str, Any]:
        parts = super()._c4_parts(stages, channels)
        return dict(
            parts,
            mask_roi_pool=SharedRoIAlign(
                parts['box_head'],
                featmap_names=['0'],
                output_size=14,
                sampling_ratio=0,
            ),
            mask_head=nn.Identity(),
            mask_predictor=MaskRCNNPredictor(
                channels, MASK_WIDTH, self.num_classes + 1
            ),
        )

    def _roi_heads(self, heads: nn.Module, neck: str, roi: dict) -> nn.Module:
        if neck == 'fpn':
            return heads
        numbers = {
            name.removeprefix('box_'): value for name, value in roi.items()
        }
        return SharedRoIHeads(
            heads.box_roi_pool,
            heads.box_head,
            heads.box_predictor,
            **numbers,
            mask_roi_pool=heads.mask_roi_pool,
            mask_head=heads.mask_head,
            mask_predictor=heads.mask_predictor,
        )
