from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import broadcast
from torch import Tensor, nn

from mmdistill.ops import concat_all_gather
from mmdistill.registry import MODELS

DTYPES = ('float32', 'bfloat16', 'float16')


@MODELS.register_module()
class InstanceBank(nn.Module):
    """A memory bank: one momentum-averaged vector per training sample.

    The bank gets its length and the samples' labels from the training dataset
    before training starts, or from a checkpoint, whichever comes first. All
    processes hold the same bank.

    Papers: Wu et al., Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination, CVPR 2018, https://arxiv.org/abs/1805.01978; Tian
    et al., Contrastive Representation Distillation, ICLR 2020,
    https://arxiv.org/abs/1910.10699.

    Args:
        num_samples: length of the training dataset; None if not known yet.
        dim: width of a row.
        momentum: fraction of the old row that an update keeps.
        dtype: storage dtype: 'float32', 'bfloat16' or 'float16'.
        unit_rows: True keeps rows at unit length, random before their sample
            is first seen. False starts from zeros and averages without
            normalization; averages of vectors in the unit ball stay in it.
    Shape:
        ``features``: (num_samples, dim); ``labels``: (num_samples,), -1 where
        unknown.
    Raises:
        ValueError: if a length differs from the one known before, or for an
            unknown dtype.
    """

    features: Tensor
    labels: Tensor
    order: Tensor
    position: Tensor
    class_start: Tensor
    class_count: Tensor

    def __init__(
        self,
        num_samples: int | None = None,
        dim: int = 128,
        momentum: float = 0.5,
        dtype: str = 'float32',
        unit_rows: bool = True,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(
                f'a bank keeps unit vectors as one of {DTYPES}, got '
                f'{dtype!r}; change bank_dtype of the loss (dtype of the bank)'
            )
        self.dim = dim
        self.unit_rows = unit_rows
        self.momentum = momentum
        self.register_buffer(
            'features', torch.empty(0, dim, dtype=getattr(torch, dtype))
        )
        self.register_buffer('labels', torch.empty(0, dtype=torch.long))
        # Sample indices sorted by label, and each label's range in them.
        for name in ('order', 'position', 'class_start', 'class_count'):
            self.register_buffer(
                name, torch.empty(0, dtype=torch.long), persistent=False
            )
        self._largest_class = 1
        if num_samples is not None:
            self.resize_to(num_samples)

    def __len__(self) -> int:
        return len(self.features)

    @torch.no_grad()
    def resize_to(
        self, num_samples: int, labels: Tensor | None = None
    ) -> None:
        """Size the bank for a dataset, and store its labels if it has any.

        Args:
            num_samples: number of samples in the training dataset.
            labels: (num_samples,) class numbers, -1 for unlabeled ones.
        """
        if num_samples < 2:
            raise ValueError(
                'an InstanceBank needs at least 2 samples, got '
                f'{num_samples}; check train_dataloader.dataset'
            )
        if len(self) not in (0, num_samples):
            raise ValueError(
                f'this InstanceBank holds {len(self)} samples but the '
                f'training dataset has {num_samples}; resume with the same '
                'dataset, leave num_samples out of the loss, or start anew '
                'without the checkpoint'
            )
        if len(self) == 0:
            bound = math.sqrt(3 / self.dim) if self.unit_rows else 0.0
            self.features = (
                torch.empty(num_samples, self.dim, device=self.features.device)
                .uniform_(-bound, bound)
                .to(self.features.dtype)
            )
            broadcast(self.features)
        if labels is None:
            labels = torch.full((num_samples,), -1)
        if len(labels) != num_samples:
            raise ValueError(
                f'got {len(labels)} labels for {num_samples} '
                'samples; the dataset gave them'
            )
        if labels.ge(0).any() or len(self.labels) == 0:
            self.labels = labels.to(self.features.device, torch.long)
            self._index_labels()

    def _index_labels(self) -> None:
        labels = self.labels
        self.order = labels.argsort(stable=True)
        self.position = torch.empty_like(self.order)
        self.position[self.order] = torch.arange(
            len(labels), device=labels.device
        )
        labeled = labels[labels >= 0]
        self.class_count = labeled.bincount()
        # Unlabeled samples (-1) come first in the order.
        self.class_start = (
            len(labels)
            - len(labeled)
            + self.class_count.cumsum(0)
            - self.class_count
        )
        self._largest_class = (
            int(self.class_count.max()) if len(labeled) else 1
        )

    @property
    def fewest_negatives(self) -> int:
        """Negatives of the largest class: the samples of all other classes."""
        return len(self) - self._largest_class

    def draw_negatives(
        self, sample_idx: Tensor, count: int, label: Tensor | None = None
    ) -> Tensor:
        """Draw samples of other classes, uniformly and with replacement.

        CRD's code draws in the data workers, without replacement if there are
        enough samples. Here the device draws, and needs memory for the draws
        only. The expectation of the loss is the same. On CIFAR-100 (16384
        draws from 49500 samples) 85 % of the draws are expected to be
        distinct, and a mean over them has 1.5 times the variance of a mean
        without replacement.

        Args:
            sample_idx: (N,) indices of the anchors.
            count: negatives per anchor.
            label: (N,) classes of the anchors. An anchor with label -1
                excludes only itself, as does every anchor if label is None.
        Shape:
            returns (N, count) sample indices.
        Raises:
            ValueError: if all samples belong to one class.
        """
        self.require_indices(sample_idx)
        start = self.position[sample_idx]
        excluded = torch.ones_like(start)
        if label is not None and len(self.class_count):
            if self._largest_class == len(self):
                raise ValueError(
                    'all samples of the training dataset have one class, so '
                    'no negative is left; use a dataset of several classes '
                    'or exclude_class=False in the loss'
                )
            known = label.clamp(min=0)
            start = torch.where(label >= 0, self.class_start[known], start)
            excluded = torch.where(
                label >= 0, self.class_count[known], excluded
            )
        draw = torch.randint(
            2**62, (len(sample_idx), count), device=start.device
        )
        draw.remainder_((len(self) - excluded)[:, None])
        # Skip the range of excluded samples in the class-sorted order.
        draw += (draw >= start[:, None]) * excluded[:, None]
        return self.order[draw]

    @torch.no_grad()
    def update(self, sample_idx: Tensor, x: Tensor) -> None:
        """Momentum update of the rows of all processes' samples.

        row <- momentum * row + (1 - momentum) * x, L2-normalized with
        ``unit_rows``. If a sample occurs several times in the global batch, x
        is the mean of its vectors. Call it after ``backward``.

        Args:
            sample_idx: (N,) indices in the training dataset.
            x: (N, dim) the new vectors.
        """
        self.require_length()
        sample_idx = concat_all_gather(sample_idx)
        x = concat_all_gather(x)
        if self.features.dtype != torch.float64:
            x = x.float()
        # An index may occur twice in the global batch: average its vectors,
        # so the result does not depend on the order.
        same = (sample_idx[:, None] == sample_idx).to(x.dtype)
        x = (same @ x) / same.sum(dim=1, keepdim=True)
        old = self.features[sample_idx].to(x.dtype)
        new = old.lerp(x, 1 - self.momentum)
        if self.unit_rows:
            new = F.normalize(new, eps=1e-12)
        self.features[sample_idx] = new.to(self.features.dtype)

    def require_indices(self, sample_idx: Tensor) -> None:
        """Raise if the length is unknown or an index is out of range.

        Indices are checked on the CPU only; on a GPU the check would
        synchronize the host in every step.
        """
        self.require_length()
        if sample_idx.device.type == 'cpu' and len(sample_idx):
            low, high = int(sample_idx.min()), int(sample_idx.max())
            if low < 0 or high >= len(self):
                raise ValueError(
                    f'sample_idx lies between {low} and {high}, but this '
                    f'InstanceBank holds samples 0 to {len(self) - 1}; give '
                    "num_samples the training dataset's length, or leave it "
                    'out'
                )

    def require_length(self) -> None:
        """Raise if the length of the training dataset is not known yet."""
        if len(self) == 0:
            raise ValueError(
                'this InstanceBank does not know the number of training '
                'samples; train with DistillRunner, which tells it that of '
                'train_dataloader.dataset, or give num_samples to the loss'
            )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        saved = state_dict.get(f'{prefix}features')
        if saved is not None:
            if len(self) == 0:
                self.features = self.features.new_empty(saved.shape)
            elif len(self) != len(saved):
                raise ValueError(
                    f'the checkpoint holds an InstanceBank of {len(saved)} '
                    f'samples but this training dataset has {len(self)}; '
                    'resume with the dataset of the checkpoint'
                )
            if saved.dtype != self.features.dtype:
                raise ValueError(
                    f'the checkpoint holds an InstanceBank in {saved.dtype} '
                    f'but the config asks for {self.features.dtype}; resume '
                    "with the checkpoint's bank_dtype"
                )
            labels = state_dict.setdefault(
                f'{prefix}labels', torch.full((len(saved),), -1)
            )
            if len(self.labels) != len(labels):
                self.labels = self.labels.new_empty(labels.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
        if saved is not None:
            self._index_labels()

    def extra_repr(self) -> str:
        return (
            f'num_samples={len(self) or None}, dim={self.dim}, '
            f'momentum={self.momentum}, dtype={self.features.dtype}'
        )
