from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from mmdistill.models.dense.c4 import (
    LastStage,
    stage_names,
    stages_after_c4,
)
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.dense.detection_settings import (
    ANCHOR_SIZES,
    ROI_NUMBERS,
    RPN_NUMBERS,
    anchor_generator,
    completed,
)
from mmdistill.models.dense.targets import detection_targets
from mmdistill.models.probing import DRY_RUN_SIZE
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class FasterRCNN(DenseModel):
    """torchvision's Faster R-CNN on any convolutional backbone.

    torchvision's transform resizes, normalizes and pads the images on the
    device; its region proposal network, heads and losses are unchanged. Boxes
    and losses are float32 under any autocast dtype.

    Papers: Ren et al., Faster R-CNN: Towards Real-Time Object Detection with
    Region Proposal Networks, NeurIPS 2015, https://arxiv.org/abs/1506.01497;
    Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017,
    https://arxiv.org/abs/1612.03144. The C4 variant follows He et al.,
    Momentum Contrast for Unsupervised Visual Representation Learning, CVPR
    2020, https://arxiv.org/abs/1911.05722: regions of 14 x 14 cells of the
    stride-16 map pass through the backbone's last stage and an extra batch
    norm.

    Args:
        backbone: config of a backbone. With 'fpn' its ``out_indices`` are the
            levels, each with twice the stride of the one before; with 'c4'
            they are set here.
        num_classes: number of classes without background.
        neck: 'fpn' or 'c4'.
        fpn_width: channels of all levels.
        fpn_norm: whether the pyramid has batch norms.
        anchor_sizes: in pixels of the resized image, one sequence per level.
            'fpn' has one level per map of the backbone plus a max-pooled one,
            'c4' has a single level. None for torchvision's sizes.
        aspect_ratios: height over width of the anchors.
        norm: 'frozen', 'tuned' or 'sync', see `DenseModel`.
        min_size: length of the shorter side; from several, training draws one
            per image and testing takes the last.
        max_size: largest length of the longer side.
        mean, std: per channel of the pixels, from 0 to 255.
        rpn: settings of the region proposal network by their names in
            torchvision's FasterRCNN, such as ``rpn_batch_size_per_image``.
        roi: settings of the heads by their names there, such as
            ``box_detections_per_img``.
        data_preprocessor, init_cfg: as in `DenseModel`.
    Shape:
        inputs: a list of (3, H, W) in [0, 1], of any sizes. Mode 'loss'
        returns torchvision's losses by name; mode 'predict' the samples with
        ``pred_instances``: bboxes (n, 4) in pixels of the input image, scores
        (n,), labels (n,); mode 'tensor' the maps by level, (N, C, H_i, W_i).
    Raises:
        ValueError: for an unknown neck, norm, or key of rpn and roi, a
            backbone that does not fit the neck, or anchors that do not fit
            the levels.
    Config:
        model=dict(
            type='FasterRCNN',
            backbone=dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3)),
            num_classes=20,
            min_size=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800))
    """

    network = detection.FasterRCNN
    with_masks = False

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        neck: str = 'fpn',
        fpn_width: int = 256,
        fpn_norm: bool = False,
        anchor_sizes: Sequence[Sequence[int]] | None = None,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        norm: str = 'frozen',
        min_size: int | Sequence[int] = 800,
        max_size: int = 1333,
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        rpn: dict | None = None,
        roi: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone, num_classes, norm, data_preprocessor, init_cfg
        )
        if neck not in ANCHOR_SIZES:
            raise ValueError(
                f'model.neck is one of {tuple(ANCHOR_SIZES)}, got '
                f'neck={neck!r}'
            )
        rpn = completed(rpn, RPN_NUMBERS, 'model.rpn')
        roi = completed(roi, ROI_NUMBERS, 'model.roi')
        # torchvision reads only ``out_channels`` of a backbone.
        outline = nn.Module()
        if neck == 'fpn':
            self.neck, levels = self._pyramid(fpn_width, fpn_norm)
            outline.out_channels = fpn_width
            parts = self._fpn_parts(levels)
        else:
            self.neck, levels = None, 0
            stages, outline.out_channels, channels = self._split()
            parts = self._c4_parts(stages, channels)
        network = self.network(
            outline,
            min_size=min_size,
            max_size=max_size,
            image_mean=[x / 255 for x in mean],
            image_std=[x / 255 for x in std],
            rpn_anchor_generator=anchor_generator(
                anchor_sizes or ANCHOR_SIZES[neck], aspect_ratios, levels + 1
            ),
            **rpn,
            **roi,
            **parts,
        )
        self.transform = network.transform
        self.rpn = network.rpn
        self.roi_heads = self._roi_heads(network.roi_heads, neck, roi)
        for module in self._predictors():
            module.register_forward_hook(_widen_output)
        self.set_norms()

    def loss(
        self, inputs: list[Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """torchvision's losses, each (), by their torchvision names."""
        if not self.training:
            raise RuntimeError(
                f'{type(self).__name__} has losses in training mode only, as '
                "in torchvision; call model.train() before mode='loss'"
            )
        targets = detection_targets(
            data_samples, self.num_classes, inputs[0].device, self.with_masks
        )
        images, targets = self.transform(inputs, targets)
        maps = self.extract_feat(images.tensors)
        proposals, rpn_losses = self.rpn(images, maps, targets)
        _, losses = self.roi_heads(
            maps, proposals, images.image_sizes, targets
        )
        return {**losses, **rpn_losses}

    def predict(
        self,
        inputs: list[Tensor],
        data_samples: list[BaseDataElement] | None = None,
    ) -> list[BaseDataElement]:
        """Add ``pred_instances`` to the samples, highest scores first."""
        sizes = [tuple(image.shape[-2:]) for image in inputs]
        images, _ = self.transform(inputs)
        maps = self.extract_feat(images.tensors)
        proposals, _ = self.rpn(images, maps)
        found, _ = self.roi_heads(maps, proposals, images.image_sizes)
        found = self.transform.postprocess(found, images.image_sizes, sizes)
        samples = data_samples or [BaseDataElement() for _ in inputs]
        for sample, one in zip(samples, found, strict=True):
            sample.pred_instances = _instances(one)
        return samples

    def outputs(self, inputs: list[Tensor]) -> dict[str, Tensor]:
        """Maps of the resized images by the name of their level."""
        return self.extract_feat(self.transform(inputs)[0].tensors)

    def extract_feat(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by the name of their level, in float32 even under autocast.

        Shape:
            images: (N, 3, H, W), normalized.
        """
        maps = {str(i): m for i, m in enumerate(self.backbone(images))}
        return _widened(maps if self.neck is None else self.neck(maps))

    # Construction ------------------------------------------------------------
    def _pyramid(self, width: int, norm: bool) -> tuple[nn.Module, int]:
        """The feature pyramid, and the number of the backbone's maps."""
        shapes = self.map_shapes()
        strides = [DRY_RUN_SIZE // shape[-2] for shape in shapes]
        doubling = [strides[0] << i for i in range(len(strides))]
        if len(shapes) < 2 or strides != doubling:
            raise ValueError(
                "model.neck='fpn' joins at least two maps, each of twice the "
                f'stride of the one before; {type(self.backbone).__name__} '
                f'gives maps of strides {strides}: set '
                'model.backbone.out_indices to the stages wanted'
            )
        pyramid = FeaturePyramidNetwork(
            [shape[1] for shape in shapes],
            width,
            LastLevelMaxPool(),
            nn.BatchNorm2d if norm else None,
        )
        return pyramid, len(shapes)

    def _split(self) -> tuple[list[nn.Module], int, int]:
        """The box head's stages, channels of the C4 map, and their own."""
        names = stage_names(self.backbone)
        self.backbone.out_indices = tuple(range(len(names)))
        shapes = self.map_shapes()
        strides = [DRY_RUN_SIZE // shape[-2] for shape in shapes]
        stages = stages_after_c4(self.backbone, strides, names)
        return stages, shapes[-len(stages) - 1][1], shapes[-1][1]

    def _fpn_parts(self, levels: int) -> dict[str, Any]:
        """Arguments of torchvision's network for a feature pyramid."""
        return dict(
            num_classes=self.num_classes + 1,
            box_roi_pool=MultiScaleRoIAlign(
                [str(i) for i in range(levels)], 7, sampling_ratio=2
            ),
        )

    def _c4_parts(
        self, stages: list[nn.Module], channels: int
    ) -> dict[str, Any]:
        """Arguments of torchvision's network for the C4 map.

        As in Detectron2's R50-C4, RoIAlign uses an adaptive number of samples
        per cell (sampling_ratio=0).
        """
        predictor = FastRCNNPredictor(channels, self.num_classes + 1)
        return dict(
            box_roi_pool=MultiScaleRoIAlign(['0'], 14, sampling_ratio=0),
            box_head=LastStage(stages, channels),
            box_predictor=nn.Sequential(nn.AdaptiveAvgPool2d(1), predictor),
        )

    def _roi_heads(self, heads: nn.Module, neck: str, roi: dict) -> nn.Module:
        """Hook for subclasses to replace torchvision's RoI heads."""
        return heads

    def _predictors(self) -> list[nn.Module]:
        """The modules whose outputs give boxes and losses."""
        heads = self.roi_heads
        parts = (self.rpn.head, heads.box_predictor, heads.mask_predictor)
        return [part for part in parts if part is not None]


def _instances(found: dict[str, Tensor]) -> InstanceData:
    """torchvision's detections of one image, with labels starting at 0."""
    instances = InstanceData(
        bboxes=found['boxes'],
        scores=found['scores'],
        labels=found['labels'] - 1,
    )
    if 'masks' in found:
        instances.masks = found['masks'][:, 0] > 0.5
    return instances


@full_precision
def _widened(value: Any) -> Any:
    """Half-precision tensors as float32, by the decorator."""
    return value


def _widen_output(_module: nn.Module, _args: tuple, output: Any) -> Any:
    """Forward hook: boxes get the dtype of these outputs, so use float32."""
    return _widened(output)
