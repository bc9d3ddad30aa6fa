from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.ops import concat_all_gather
from mmdistill.registry import MODELS

DTYPES = ('float32', 'bfloat16', 'float16', 'float64', 'int64')


@MODELS.register_module()
class FeatureQueue(nn.Module):
    """A ring buffer (FIFO) of the latest features of all processes.

    Paper: He et al., Momentum Contrast for Unsupervised Visual Representation
    Learning, CVPR 2020, https://arxiv.org/abs/1911.05722, section 3.2.

    Args:
        size: capacity in rows; the oldest rows are overwritten.
        dim: width of a row; a loss fills it in where its config leaves
            it out.
        dtype: storage dtype: 'float32', 'bfloat16', 'float16', 'float64', or
            'int64' for labels and indices.
    Shape:
        ``enqueue`` takes (N, dim) for any N; ``features`` is (len(queue),
        dim) and shares memory with the storage.
    Raises:
        ValueError: if size is not positive, dim is unknown, rows have a
            different width, or for another dtype.
    Config:
        losses=dict(nce=dict(type='InfoNCELoss', queue_size=2048))
    """

    storage: Tensor
    enqueued: Tensor

    def __init__(
        self, size: int, dim: int | None = None, dtype: str = 'float32'
    ) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f'FeatureQueue needs size >= 1, got {size}')
        if dim is None:
            raise ValueError(
                'FeatureQueue needs dim, the width of a row; a '
                'distiller infers it, elsewhere give dim=...'
            )
        if dtype not in DTYPES:
            raise ValueError(
                f'a queue keeps its rows as one of {DTYPES}, got {dtype!r}; '
                'change queue_dtype (of CRDLoss: bank_dtype) of the loss'
            )
        self.size = size
        # QueueHook switches queues off until an epoch: a disabled queue has
        # length 0 and ignores enqueue.
        self.enabled = True
        self.register_buffer(
            'storage', torch.zeros(size, dim, dtype=getattr(torch, dtype))
        )
        # Total rows ever enqueued (never wraps): the write position is
        # total % size, the length min(total, size).
        self.register_buffer('enqueued', torch.zeros((), dtype=torch.long))
        self._enqueued = 0  # host copy, so reading it needs no sync

    def __len__(self) -> int:
        return min(self._enqueued, self.size) if self.enabled else 0

    @property
    def features(self) -> Tensor:
        """The valid rows in storage order, without a copy."""
        return self.storage[: len(self)]

    def ordered(self) -> Tensor:
        """A copy of the valid rows, oldest first."""
        oldest = self._enqueued % self.size if len(self) == self.size else 0
        return self.features.roll(-oldest, dims=0)

    @torch.no_grad()
    def enqueue(self, x: Tensor) -> None:
        """Add the rows of every process, in rank order.

        Call it after ``backward``, because the loss's graph holds
        ``features``.
        """
        if x.ndim != 2 or x.shape[1] != self.storage.shape[1]:
            raise ValueError(
                f'this FeatureQueue keeps rows of width '
                f'{self.storage.shape[1]}, got {tuple(x.shape)}; change dim'
            )
        if x.is_floating_point() and not self.storage.is_floating_point():
            raise ValueError(
                f'this FeatureQueue keeps whole numbers ({self.storage.dtype})'
                ', which vectors become zeros as; change queue_dtype (of '
                "CRDLoss: bank_dtype) of the loss to 'float32'"
            )
        if not self.enabled:
            return
        x = concat_all_gather(x.to(self.storage.dtype))
        start = self._enqueued + max(0, len(x) - self.size)
        self._enqueued += len(x)
        x = x[-self.size :]
        pointer = start % self.size
        head = min(len(x), self.size - pointer)
        self.storage[pointer : pointer + head] = x[:head]
        self.storage[: len(x) - head] = x[head:]
        self.enqueued.fill_(self._enqueued)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        saved = state_dict.get(f'{prefix}storage')
        if saved is not None and saved.shape != self.storage.shape:
            raise ValueError(
                f'the checkpoint holds a FeatureQueue of (size, dim) '
                f'{tuple(saved.shape)} but the config asks for '
                f"{tuple(self.storage.shape)}; give the checkpoint's size"
            )
        if saved is not None and saved.dtype != self.storage.dtype:
            raise ValueError(
                f'the checkpoint holds a FeatureQueue in {saved.dtype} but '
                f'the config asks for {self.storage.dtype}; resume with the '
                "checkpoint's dtype"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._enqueued = int(self.enqueued)

    def extra_repr(self) -> str:
        return f'size={self.size}, dim={self.storage.shape[1]}'
