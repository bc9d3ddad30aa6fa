from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor
from torchvision.models.segmentation.fcn import FCNHead

from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS

#: Label of ignored pixels.
VOID = 255


@MODELS.register_module()
class FCN(DenseModel):
    """A fully convolutional network: torchvision's head on any backbone.

    Dilation is an option of the backbone. MMPretrain's ResNet dilates all
    blocks of a stage, torchvision's all but the first.

    Paper: Long et al., Fully Convolutional Networks for Semantic
    Segmentation, CVPR 2015, https://arxiv.org/abs/1411.4038, with the head,
    the auxiliary head and its loss weight 0.5 of torchvision's fcn_resnet50.

    Args:
        backbone: config of a backbone; the head takes its last map, the
            auxiliary head the one before.
        num_classes: number of classes in the labels, including background if
            the labels have it; label 255 is ignored.
        auxiliary_weight: weight of the auxiliary loss; 0 for no auxiliary
            head.
        norm: 'frozen', 'tuned' or 'sync', see `DenseModel`.
        mean, std: per channel of the pixels, from 0 to 255.
        data_preprocessor, init_cfg: as in `DenseModel`.
    Shape:
        inputs: a list of (3, H, W) in [0, 1], of one size in training. Mode
        'loss' returns ``loss_seg`` and, with an auxiliary head, ``loss_aux``,
        each (); mode 'predict' the samples with ``pred_sem_seg``, (1, H, W)
        int64; mode 'tensor' scores (N, num_classes, H, W) for images of one
        size.
    Raises:
        ValueError: if the backbone has no map for the auxiliary head, images
            of a training batch differ in size, or a label is out of range.
    Config:
        model=dict(
            type='FCN',
            backbone=dict(type='ResNet', depth=18, out_indices=(2, 3),
                          strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
            num_classes=21,
            auxiliary_weight=0.5)
    """

    def __init__(
        self,
        backbone: dict,
        num_classes: int,
        auxiliary_weight: float = 0.0,
        norm: str = 'sync',
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        data_preprocessor: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone, num_classes, norm, data_preprocessor, init_cfg
        )
        if num_classes > VOID:
            raise ValueError(
                f'FCN learns labels of one byte, of which {VOID} does not '
                f'count: model.num_classes is at most {VOID}, got '
                f'num_classes={num_classes}'
            )
        channels = [shape[1] for shape in self.map_shapes()]
        self.auxiliary_weight = auxiliary_weight
        self.head = FCNHead(channels[-1], num_classes)
        self.auxiliary_head = None
        if auxiliary_weight:
            if len(channels) < 2:
                raise ValueError(
                    f'model.auxiliary_weight={auxiliary_weight} asks for an '
                    'auxiliary head on the last map but one, and '
                    f'{type(self.backbone).__name__} gives {len(channels)} '
                    'map; add a stage to model.backbone.out_indices'
                )
            self.auxiliary_head = FCNHead(channels[-2], num_classes)
        for name, values in dict(mean=mean, std=std).items():
            values = torch.tensor(values, dtype=torch.float32) / 255
            self.register_buffer(name, values.view(-1, 1, 1), persistent=False)
        self.set_norms()

    def loss(
        self, inputs: list[Tensor], data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Cross-entropy of both heads over the pixels that are not ignored."""
        images = self._joined(inputs)
        labels = self._labels(data_samples, images.shape[-2:])
        labels = labels.to(images.device, non_blocking=True).long()
        maps = self.extract_feat(images)
        losses = dict(loss_seg=self._loss(self.head(maps[-1]), labels))
        if self.auxiliary_head is not None:
            scores = self.auxiliary_head(maps[-2])
            value = self._loss(scores, labels)
            losses['loss_aux'] = self.auxiliary_weight * value
        return losses

    def predict(
        self,
        inputs: list[Tensor],
        data_samples: list[BaseDataElement] | None = None,
    ) -> list[BaseDataElement]:
        """Add ``pred_sem_seg`` to the samples, one batch per image size."""
        samples = data_samples or [BaseDataElement() for _ in inputs]
        groups = defaultdict(list)
        for i, image in enumerate(inputs):
            groups[tuple(image.shape[-2:])].append(i)
        for group in groups.values():
            scores = self.outputs([inputs[i] for i in group])
            classes = scores.argmax(dim=1, keepdim=True)
            for i, data in zip(group, classes, strict=True):
                samples[i].pred_sem_seg = PixelData(data=data)
        return samples

    def outputs(self, inputs: list[Tensor]) -> Tensor:
        """Scores (N, num_classes, H, W) for images of one size."""
        images = self._joined(inputs)
        scores = self.head(self.extract_feat(images)[-1])
        return _resized(scores, images.shape[-2:])

    def extract_feat(self, images: Tensor) -> tuple[Tensor, ...]:
        """The backbone's maps for images (N, 3, H, W) in [0, 1]."""
        maps = self.backbone((images - self.mean) / self.std)
        return maps if isinstance(maps, tuple) else (maps,)

    def _joined(self, inputs: list[Tensor]) -> Tensor:
        sizes = sorted({tuple(image.shape[-2:]) for image in inputs})
        if len(sizes) > 1:
            raise ValueError(
                f'FCN learns from images of one size, this batch has {sizes} '
                '(H, W); end the pipeline of train_dataloader.dataset with a '
                'RandomCrop that pads'
            )
        return torch.stack(tuple(inputs))

    def _labels(
        self, data_samples: list[BaseDataElement], size: torch.Size
    ) -> Tensor:
        """Check the labels; returns (N, H, W) uint8 on the CPU."""
        labels = []
        for i, sample in enumerate(data_samples):
            data = sample.gt_sem_seg.data
            name = sample.get('img_path', f'{i} of the batch')
            if data.shape != (1, *size):
                raise ValueError(
                    f'image {name!r} of size {tuple(size)} has labels of '
                    f'shape {tuple(data.shape)} and not (1, H, W); transforms '
                    'of train_dataloader.dataset change both alike'
                )
            labels.append(data.byte())
            low, high = data.aminmax()
            # In uint8 VOID + 1 wraps to 0, so one maximum checks all other
            # labels; comparing every pixel takes ten times as long.
            largest = int((labels[-1] + 1).max()) - 1
            if low < 0 or high > VOID or largest >= self.num_classes:
                known = (data >= 0) & (data < self.num_classes)
                wrong = data[~known & (data != VOID)][0]
                raise ValueError(
                    f'image {name!r} has the label {int(wrong)}, and '
                    f'model.num_classes={self.num_classes} allows 0 ... '
                    f'{self.num_classes - 1} and {VOID}, which does not '
                    'count; set model.num_classes to the number of the '
                    "training dataset's classes"
                )
        return torch.cat(labels)

    @full_precision
    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy; 0 if all pixels are ignored."""
        scores = _resized(scores, labels.shape[-2:])
        total = F.cross_entropy(
            scores, labels, ignore_index=VOID, reduction='sum'
        )
        return total / (labels != VOID).sum().clamp(min=1)


@full_precision
def _resized(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Upsample the scores bilinearly to the image size."""
    return F.interpolate(
        scores, size=tuple(size), mode='bilinear', align_corners=False
    )
