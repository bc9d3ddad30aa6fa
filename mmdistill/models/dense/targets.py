from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


def detection_targets(
    data_samples: Sequence[BaseDataElement],
    num_classes: int,
    device: torch.device,
    with_masks: bool = False,
) -> list[dict[str, Tensor]]:
    """Check the annotations and convert them to torchvision's targets.

    Args:
        data_samples: samples with ``gt_instances`` on the CPU, so the checks
            need no GPU sync.
        num_classes: number of classes without background, which is class 0 in
            torchvision.
        device: device of the targets.
        with_masks: whether masks are needed, too.
    Shape:
        returns for each image boxes (n, 4) float32, labels (n,) int64 from 1
        to num_classes, and masks (n, H, W) bool.
    Raises:
        ValueError: for a label out of range, a box without area, or missing
            masks; the message names the image.
    """
    instances = [sample.gt_instances for sample in data_samples]
    counts = [len(one.labels) for one in instances]
    boxes = torch.cat([one.bboxes for one in instances]).float()
    labels = torch.cat([one.labels for one in instances]).long()

    unknown = (labels < 0) | (labels >= num_classes)
    if unknown.any():
        row = int(unknown.nonzero()[0])
        raise ValueError(
            f'{_image_of(row, data_samples, counts)} has the label '
            f'{int(labels[row])}, and model.num_classes={num_classes} allows '
            f'0 ... {num_classes - 1}; set model.num_classes to the number of '
            "the training dataset's classes, background not counted"
        )
    flat = ~(boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    if flat.any():
        row = int(flat.nonzero()[0])
        raise ValueError(
            f'{_image_of(row, data_samples, counts)} has the box '
            f'{boxes[row].tolist()} (x1, y1, x2, y2) without area; leave such '
            'boxes out in train_dataloader.dataset or its pipeline'
        )
    targets = [
        dict(boxes=box, labels=label)
        for box, label in zip(
            boxes.to(device, non_blocking=True).split(counts),
            (labels + 1).to(device, non_blocking=True).split(counts),
            strict=True,
        )
    ]
    if with_masks:
        for i, (target, one) in enumerate(
            zip(targets, instances, strict=True)
        ):
            if 'masks' not in one:
                raise ValueError(
                    f'{_name_of(data_samples[i], i)} has no masks, which '
                    'MaskRCNN learns from; set '
                    'train_dataloader.dataset.with_masks=True'
                )
            target['masks'] = one.masks.to(device, non_blocking=True)
    return targets


def _image_of(
    row: int, data_samples: Sequence[BaseDataElement], counts: Sequence[int]
) -> str:
    """The name of the image that a row of the joint boxes belongs to."""
    for i, count in enumerate(counts):
        if row < count:
            return _name_of(data_samples[i], i)
        row -= count
    raise IndexError(row)


def _name_of(sample: BaseDataElement, position: int) -> str:
    return f'image {sample.get("img_path", f"{position} of the batch")!r}'
