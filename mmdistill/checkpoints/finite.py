"""Which tensors of a state hold NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold NaN or infinity.

    Masks of attention, matrices of 0 and minus infinity, are none of them.
    The host waits for each device once.

    Args:
        tensors: of any shape and type; those of integers are finite.
    """
    suspects = []
    by_device: dict[torch.device, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() or tensor.is_complex():
            by_device.setdefault(tensor.device, []).append(name)
    for names in by_device.values():
        # A sum is finite only if every term is, and takes no memory.
        sums = [_sum(tensors[name]).isfinite() for name in names]
        finite = torch.stack(sums).tolist()
        suspects += [n for n, ok in zip(names, finite, strict=True) if not ok]
    return [name for name in suspects if _is_bad(tensors[name].detach())]


def flattened(tree: object, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts and sequences, under their joined keys."""
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flattened(value, f'{name}.{key}' if name else str(key))
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        for i, value in enumerate(tree):
            yield from flattened(value, f'{name}.{i}')


def _sum(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.element_size() < 4:
        return tensor.float().sum()
    return tensor.sum()


def _is_bad(tensor: Tensor) -> bool:
    if tensor.element_size() == 1:
        tensor = tensor.float()  # torch has few operations on 8 bits
    if tensor.isfinite().all():
        return False  # only the sum is infinite
    is_mask = (
        tensor.ndim > 1
        and not tensor.is_complex()
        and bool(((tensor == 0) | (tensor == -torch.inf)).all())
        and bool((tensor == 0).any())
    )
    return not is_mask
