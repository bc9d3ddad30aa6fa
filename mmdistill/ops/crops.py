"""Crop sizes and scales of multi-crop, for pipelines and preprocessors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class CropGroup(NamedTuple):
    """Crops of one size, which pass through the network as one batch.

    Attributes:
        number: number of crops.
        size: height and width of a crop, in pixels.
        scale: smallest and largest fraction of the image's area.
    """

    number: int
    size: int
    scale: tuple[float, ...]


def crop_groups(
    num_global: int,
    num_local: int,
    global_size: int,
    local_size: int,
    global_scale: Sequence[float],
    local_scale: Sequence[float],
    ratio: Sequence[float],
) -> list[CropGroup]:
    """The group of global crops and, if there are any, that of local crops.

    Args:
        num_global, num_local: numbers of crops, at least two in total.
        global_size, local_size: sizes of the crops, in pixels.
        global_scale, local_scale: (smallest, largest) fraction of the area.
        ratio: (smallest, largest) width over height; it is only checked.
    Raises:
        ValueError: for invalid values; the message names the keys.
    """
    if num_global < 1 or num_local < 0 or num_global + num_local < 2:
        raise ValueError(
            'multi-crop compares two crops of an image or more, one of them '
            f'global, got num_global={num_global} and num_local={num_local}; '
            'set num_global to 2, or num_local to 1 or more'
        )
    groups = [CropGroup(num_global, global_size, tuple(global_scale))]
    if num_local:
        groups.append(CropGroup(num_local, local_size, tuple(local_scale)))
    for name, group in zip(('global', 'local'), groups, strict=False):
        if group.size < 1:
            raise ValueError(
                f'{name}_size must be 1 pixel or more, got {group.size}'
            )
        check_range(f'{name}_scale', group.scale, most=1)
    check_range('ratio', ratio)
    if num_local and local_size >= global_size:
        raise ValueError(
            'local crops must be smaller than global ones, which are told '
            f'from them by their size, got local_size={local_size} and '
            f'global_size={global_size}'
        )
    if num_local and local_scale[1] > global_scale[1]:
        raise ValueError(
            'local crops must not show more of the image than global ones, '
            f'got local_scale={tuple(local_scale)} and '
            f'global_scale={tuple(global_scale)}'
        )
    return groups


def check_range(
    name: str, values: Sequence[float], most: float = float('inf')
) -> None:
    """Raise unless values are (smallest, largest) with 0 < both <= most."""
    if len(values) != 2 or not 0 < values[0] <= values[1] <= most:
        raise ValueError(
            f'{name} must be (smallest, largest), above 0'
            + (f' and at most {most}' if most < float('inf') else '')
            + f', got {tuple(values)}'
        )
