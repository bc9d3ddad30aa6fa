from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmpretrain.datasets.transforms import MultiView, RandomResizedCrop

from mmdistill.ops.crops import crop_groups
from mmdistill.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MultiCrop(MultiView):
    """Multi-crop: random global and local crops of an image of any size.

    It is MMPretrain's ``MultiView`` of ``RandomResizedCrop``: after
    ``PackInputs`` a sample's ``inputs`` is a list of images, the global crops
    first. Distillers pass only the global crops to the teacher. Images smaller
    than a crop are enlarged.

    Paper: Caron et al., Unsupervised Learning of Visual Features by
    Contrasting Cluster Assignments (SwAV), NeurIPS 2020,
    https://arxiv.org/abs/2006.09882, section 3.2. The defaults are its
    2x224 + 6x96.

    Args:
        num_global, num_local: numbers of crops, at least two in total.
        global_size, local_size: side of the square crops, in pixels.
        global_scale, local_scale: range of a crop's fraction of the image's
            area.
        ratio: range of a crop's width over its height, before it is resized.
        global_transforms, local_transforms: transforms after the crop (flip,
            color jitter, blur, ...): one list for all crops of the kind, or
            a list with one list per crop.
        interpolation, backend, max_attempts: as in MMPretrain's
            ``RandomResizedCrop``. ``backend='pillow'`` resizes with
            antialiasing, as the papers' code does, but takes no gray images.
    Raises:
        ValueError: for fewer than two crops, local crops as large as global
            ones, empty ranges, or the wrong number of lists of transforms.
    Config:
        train_pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='MultiCrop', global_transforms=[flip, jitter],
                 local_transforms=[flip, jitter]),
            dict(type='PackInputs')]
    """

    def __init__(
        self,
        num_global: int = 2,
        num_local: int = 6,
        global_size: int = 224,
        local_size: int = 96,
        global_scale: Sequence[float] = (0.14, 1.0),
        local_scale: Sequence[float] = (0.05, 0.14),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        global_transforms: Sequence = (),
        local_transforms: Sequence = (),
        **kwargs: Any,
    ) -> None:
        groups = crop_groups(
            num_global, num_local, global_size, local_size, global_scale,
            local_scale, ratio,
        )  # fmt: skip
        pipelines = []
        further = dict(
            global_transforms=global_transforms,
            local_transforms=local_transforms,
        )
        for (key, transforms), group in zip(
            further.items(), groups, strict=False
        ):
            crop = RandomResizedCrop(
                group.size, group.scale, tuple(ratio), **kwargs
            )
            pipelines += [
                [crop, *after]
                for after in _one_a_crop(key, transforms, group.number)
            ]
        super().__init__(pipelines, [1] * len(pipelines))


def _one_a_crop(key: str, transforms: Sequence, number: int) -> list[Sequence]:
    """A list of transforms for each crop."""
    nested = [isinstance(item, (list, tuple)) for item in transforms]
    if not any(nested):
        return [transforms] * number
    if not all(nested) or len(transforms) != number:
        raise ValueError(
            f'{key} must be one list of transforms, or {number} lists of '
            f'them, one a crop; got {sum(nested)} lists among '
            f'{len(transforms)} items'
        )
    return list(transforms)
