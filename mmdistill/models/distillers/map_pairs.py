"""Which maps of two networks belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from mmdistill.models.distillers.endpoint import Endpoint

#: Choices of maps that leave open which ones of two models are compared.
PAIRED = ('stages', 'all')
# So many maps are compared of two networks that work at one stride each.
_OF_BLOCKS = 4


def pair_maps(
    pair: Sequence[Endpoint], chosen: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    """As many maps of both models, those that belong together.

    Networks with as many maps are compared one to one, in order. Else maps of
    one stride belong together, the last of each, as far as both have it. The
    blocks of a network that works at one stride (ViT, a mixer) are taken at
    even steps through its depth, one for each stride of the other.

    Args:
        pair: student and target.
        chosen: numbers of the maps to choose from, by the model's name.
    """
    first, second = (chosen[end.name] for end in pair)
    if len(first) == len(second):
        return {name: tuple(numbers) for name, numbers in chosen.items()}
    levels = [_last_of_levels(end, chosen[end.name]) for end in pair]
    depths = [len(found) for found in levels]
    shared = sorted(set(levels[0]) & set(levels[1]))
    if min(depths) > 1 and shared:
        paired = [[found[level] for level in shared] for found in levels]
    else:
        count = max(depths) if max(depths) > 1 else _OF_BLOCKS
        count = min(count, len(first), len(second))
        paired = [
            list(found.values())[-count:]
            if len(found) > 1
            else _even_steps(chosen[end.name], count)
            for end, found in zip(pair, levels, strict=True)
        ]
        count = min(map(len, paired))
        paired = [numbers[-count:] for numbers in paired]
    return {
        end.name: tuple(numbers)
        for end, numbers in zip(pair, paired, strict=True)
    }


def _last_of_levels(end: Endpoint, numbers: Sequence[int]) -> dict[int, int]:
    """The number of the last map of each stride, by its log2."""
    return {end.map_level(number): number for number in sorted(numbers)}


def _even_steps(numbers: Sequence[int], count: int) -> list[int]:
    """``count`` of at least as many numbers, the last one among them."""
    return [
        numbers[ceil(len(numbers) * i / count) - 1]
        for i in range(1, count + 1)
    ]
