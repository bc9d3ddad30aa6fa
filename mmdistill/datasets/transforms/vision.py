"""torchvision's transforms of images with annotations, and packing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from mmdistill.registry import TRANSFORMS

# The keys of a sample that torchvision's transforms get.
_PER_BOX = ('gt_bboxes', 'gt_labels', 'gt_masks', 'gt_difficult')
_SEEN = ('img', 'gt_sem_seg', *_PER_BOX)
_TYPES = dict(
    Image=tv_tensors.Image,
    Mask=tv_tensors.Mask,
    BoundingBoxes=tv_tensors.BoundingBoxes,
)


@TRANSFORMS.register_module()
class VisionTransforms(BaseTransform):
    """Apply torchvision's ``transforms.v2`` to image, boxes and masks.

    Boxes with less than a pixel left are dropped afterwards, with their labels
    and masks. All random numbers come from torch's generator, which
    ``ResumeStateHook`` seeds per sample.

    Args:
        transforms: configs; ``type`` is a class of
            ``torchvision.transforms.v2``, the rest its arguments. Nested
            transforms (``RandomApply``) are configs, too, and a separate fill
            for maps is ``fill=dict(Mask=255, others=0)``.
    Raises:
        ValueError: if torchvision has no transform of that name.
    Config:
        train_pipeline=[
            dict(type='LoadRGBImage'),
            dict(type='LoadSemanticMap'),
            dict(type='VisionTransforms', transforms=[
                dict(type='ScaleJitter', target_size=(512, 512),
                     scale_range=(0.5, 2.0)),
                dict(type='RandomCrop', size=512, pad_if_needed=True,
                     fill=dict(Mask=255, others=0)),
                dict(type='RandomHorizontalFlip', p=0.5)]),
            dict(type='PackDenseInputs')]
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = v2.Compose([_build(cfg) for cfg in transforms])

    def transform(self, results: dict) -> dict:
        """Transform the image and all its annotations."""
        sample = {key: results[key] for key in _SEEN if key in results}
        sample = self.transforms(sample)
        if 'gt_bboxes' in sample:
            _drop_lost(sample)
        results.update(sample)
        return results


def _drop_lost(sample: dict) -> None:
    """Clip boxes to the image; drop boxes of less than a pixel."""
    boxes = v2.functional.clamp_bounding_boxes(sample['gt_bboxes'])
    _, kept = v2.functional.sanitize_bounding_boxes(boxes)
    sample['gt_bboxes'] = boxes
    if kept.all():  # the usual case; avoids indexing large masks
        return
    with tv_tensors.set_return_type('TVTensor'):
        for key in _PER_BOX:
            if key in sample:
                sample[key] = sample[key][kept]


def _build(cfg: dict) -> nn.Module:
    """Build a torchvision transform from its config."""
    kwargs = {key: _value(value) for key, value in cfg.items()}
    name = kwargs.pop('type')
    found = getattr(v2, name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ValueError(
            f'torchvision.transforms.v2 has no transform {name!r}; correct '
            'the type in VisionTransforms.transforms'
        )
    return found(**kwargs)


def _value(value: Any) -> Any:
    """Convert an argument: build nested transforms, resolve type names."""
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if 'type' in value:
        return _build(value)
    return {_TYPES.get(key, key): item for key, item in value.items()}


# The second is its name of the first edition.
@TRANSFORMS.register_module(name=['PackDenseInputs', 'PackTransferInputs'])
class PackDenseInputs(BaseTransform):
    """Pack a sample for a detector or a segmentor.

    It returns ``inputs``, (3, H, W) uint8, and ``data_samples``: an element
    with ``gt_instances`` (``bboxes`` (n, 4) float32 in pixels of the image,
    ``labels`` (n,), ``masks`` (n, H, W) bool, ``difficult`` (n,) bool) or
    ``gt_sem_seg`` (``data`` (1, H, W) int64), and with the metainfo
    ``img_id``, ``img_path``, ``ori_shape``, ``img_shape`` and ``corrupt``.

    Config:
        train_dataloader=dict(collate_fn=dict(type='pseudo_collate'), ...)
    """

    def transform(self, results: dict) -> dict:
        """Pack image and annotations."""
        image = _plain(results['img'])
        sample = BaseDataElement(
            metainfo=dict(
                img_id=results['img_id'],
                img_path=results['img_path'],
                ori_shape=results['ori_shape'],
                img_shape=tuple(image.shape[1:]),
                corrupt=results.get('corrupt', False),
            )
        )
        if 'gt_bboxes' in results:
            sample.gt_instances = _instances(results)
        if 'gt_sem_seg' in results:
            classes = _plain(results['gt_sem_seg']).long()
            sample.gt_sem_seg = PixelData(data=classes)
        return dict(inputs=image, data_samples=sample)


def _instances(results: dict) -> InstanceData:
    instances = InstanceData(
        bboxes=_plain(results['gt_bboxes']), labels=results['gt_labels']
    )
    if 'gt_masks' in results:
        instances.masks = _plain(results['gt_masks'])
    if 'gt_difficult' in results:
        instances.difficult = results['gt_difficult']
    return instances


def _plain(tensor: Tensor) -> Tensor:
    """Clone as a plain torch.Tensor.

    Without the clone, a cropped image would be sent from a data worker with
    the storage of the whole image.
    """
    return tensor.as_subclass(torch.Tensor).clone()
