from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmdistill.models.losses.noise_contrastive import (
    Embedding,
    noise_contrastive,
    warn_of_few_negatives,
)
from mmdistill.models.losses.peers import PeerLoss, PeerShapes
from mmdistill.models.memories import InstanceBank
from mmdistill.ops import add_up, all_reduce_sum
from mmdistill.registry import MODELS

PATTERNS = ('full', 'core')
NORMALIZERS = ('batch', 'sample')
#: Scores computed at a time: 256 MB in float32.
SCORES = 2**26


@MODELS.register_module()
class MCLLoss(PeerLoss):
    """Contrast each peer's embedding of a sample with every other peer's.

    A peer's embedding v is scored against another peer's memory bank M: P_j =
    exp(<M_j, v> / T) / Z for the sample itself and for K negatives of other
    classes. The loss of one direction (anchor peer, bank peer) is -(1/N) sum
    [log P / (P + K/n) + sum_K log (K/n) / (P_k + K/n)], and the total is the
    sum over both directions of every pair of peers. The banks are updated
    after ``backward``.

    The normalizer Z is n times the mean of exp, recomputed in every step for
    every direction and detached: over a sample's own 1 + K scores in eq. 9,
    over the whole batch in the authors' code (``normalizer``). The two are not
    equivalent: with its own Z, a sample whose scores are above the batch mean
    gets a smaller P. In two short runs, on digits and on Omniglot, the
    gradient on the features changes by 3 % and 0.4 % at the start and by 13 %
    and 26 % at the end.

    One matrix product scores all other peers' embeddings against a bank (in
    chunks of samples if memory requires it). The gradient is computed at once,
    so the scores of only one bank are in memory at a time. All directions
    share the same negatives.

    Paper: Yang et al., Multi-view Contrastive Learning for Online Knowledge
    Distillation, ICASSP 2021, https://arxiv.org/abs/2006.04093, eqs. 6 to 11
    of the earlier, longer version there, as in the authors' code,
    https://github.com/winycg/MCL-OKD.

    Args:
        num_peers: M; the distiller fills it in.
        feature_dim: width of the peers' features, one number or one per peer;
            the distiller fills it in.
        embed_dim: width of the embeddings.
        num_negatives: K negatives per sample, drawn with replacement.
        temperature: T, dimensionless; 0.07 in the paper for ImageNet.
        momentum: fraction of a bank's row kept when its sample is seen.
        pattern: 'full' contrasts every pair of peers, 'core' only the pairs
            with the leader.
        normalizer: 'batch' for one Z per batch, 'sample' for one per sample.
        num_samples: n, length of the training set; taken from it if None.
        exclude_class: draw negatives from other classes only; False needs no
            labels and excludes only the sample itself.
        bank_dtype: storage dtype: 'float32', 'bfloat16' or 'float16'.
        loss_weight: factor on the loss; 0.025 in the paper.
    Shape:
        features: (N, D_m) per peer, the leader's last; sample_idx: (N,)
        indices in the training set; label: (N,), -1 for unlabeled samples;
        negatives: (N, K) indices, drawn when None. Returns ().
    Raises:
        ValueError: if the arguments or the number of features do not fit, the
            number of training samples is unknown, or an index is out of range.
    Config:
        losses=dict(mcl=dict(type='MCLLoss', num_negatives=16384,
                             loss_weight=0.025))
    """

    level = 'feature'
    requires: tuple[str, ...] = ('sample_idx', 'label')

    def __init__(
        self,
        num_peers: int,
        feature_dim: int | Sequence[int] | None = None,
        embed_dim: int = 128,
        num_negatives: int = 16384,
        temperature: float = 0.1,
        momentum: float = 0.5,
        pattern: str = 'full',
        normalizer: str = 'batch',
        num_samples: int | None = None,
        exclude_class: bool = True,
        bank_dtype: str = 'float32',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if pattern not in PATTERNS:
            raise ValueError(
                f'MCLLoss.pattern is one of {PATTERNS}, got {pattern!r}'
            )
        if normalizer not in NORMALIZERS:
            raise ValueError(
                f'MCLLoss.normalizer is one of {NORMALIZERS}, got '
                f'{normalizer!r}'
            )
        if isinstance(feature_dim, int):
            feature_dim = [feature_dim] * num_peers
        if (
            num_peers < 2
            or feature_dim is None
            or (len(feature_dim) != num_peers)
        ):
            raise ValueError(
                'MCLLoss contrasts num_peers >= 2 peers with a feature_dim '
                'for all, or one for each (OnlineDistiller fills both in), '
                f'got num_peers={num_peers}, feature_dim={feature_dim}'
            )
        if not exclude_class:
            self.requires = ('sample_idx',)
        self.num_negatives = num_negatives
        self.temperature = temperature
        self.pattern = pattern
        self.normalizer = normalizer
        self.embeds = nn.ModuleList(
            Embedding(width, embed_dim) for width in feature_dim
        )
        banks = nn.ModuleList(
            InstanceBank(num_samples, embed_dim, momentum, bank_dtype)
            for _ in range(num_peers)
        )
        self.banks = cast(Sequence[InstanceBank], banks)

    @classmethod
    def infer_from_peers(cls, peers: PeerShapes) -> dict[str, Any]:
        return dict(
            num_peers=len(peers.feature_dims),
            feature_dim=peers.feature_dims,
        )

    def forward(
        self,
        features: Sequence[Tensor],
        sample_idx: Tensor,
        label: Tensor | None = None,
        negatives: Tensor | None = None,
    ) -> Tensor:
        if len(features) != len(self.embeds):
            raise ValueError(
                f'MCLLoss was built for num_peers={len(self.embeds)}, got the '
                f'features of {len(features)}'
            )
        self.banks[0].require_indices(sample_idx)
        if negatives is None:
            negatives = self.banks[0].draw_negatives(
                sample_idx, self.num_negatives, label
            )
        samples = torch.cat([sample_idx[:, None], negatives], dim=1)
        views = [
            embed(feature)
            for embed, feature in zip(self.embeds, features, strict=True)
        ]
        total = add_up(
            with_gradient(
                torch.stack([views[i] for i in self._anchors(b)]),
                partial(self._against, rows=bank.features, samples=samples),
            )
            for b, bank in enumerate(self.banks)
        )
        loss = self.loss_weight * total
        self.after_backward(loss, lambda: self._remember(sample_idx, views))
        return loss

    def set_training_set(
        self, num_samples: int, labels: Tensor | None
    ) -> None:
        super().set_training_set(num_samples, labels)
        warn_of_few_negatives('MCLLoss', self.banks[0], self.num_negatives)

    def _anchors(self, bank: int) -> list[int]:
        """The peers whose embeddings are contrasted with this peer's bank."""
        leader = len(self.banks) - 1
        if self.pattern == 'core' and bank != leader:
            return [leader]
        return [peer for peer in range(len(self.banks)) if peer != bank]

    def _against(
        self, anchors: Tensor, rows: Tensor, samples: Tensor
    ) -> Tensor:
        """The sum of the losses of several anchor peers against one bank.

        Shape:
            anchors: (A, N, E); rows: (n, E); samples: (N, 1 + K).
        """
        anchors = anchors / self.temperature
        columns = rows.to(anchors.dtype).t()
        size = max(SCORES // (len(anchors) * len(rows)), 1)
        picked = torch.cat(
            [
                (some @ columns).gather(2, wanted.expand(len(some), -1, -1))
                for some, wanted in zip(
                    anchors.split(size, dim=1),
                    samples.split(size),
                    strict=True,
                )
            ],
            dim=1,
        )
        # Scores of unit vectors are at most 1 / T, so exp does not overflow.
        likelihood = picked.exp()
        z = self._mean(likelihood.detach()) * len(rows)
        probability = likelihood / z
        # noise_contrastive averages over anchors and samples; multiply by the
        # number of directions to sum over directions.
        mean = noise_contrastive(
            probability.flatten(0, 1), len(rows), samples.shape[1] - 1
        )
        return len(anchors) * mean

    def _mean(self, likelihood: Tensor) -> Tensor:
        """Mean over each sample's scores, or over the batch of all processes.

        Shape:
            likelihood: (A, N, 1 + K); returns (A, N, 1), or (A, 1, 1).
        """
        if self.normalizer == 'sample':
            return likelihood.mean(dim=2, keepdim=True)
        sums = all_reduce_sum(likelihood.sum(dim=(1, 2)))
        count = all_reduce_sum(sums.new_full((), likelihood[0].numel()))
        return (sums / count)[:, None, None]

    def _remember(self, sample_idx: Tensor, views: Sequence[Tensor]) -> None:
        for bank, view in zip(self.banks, views, strict=True):
            bank.update(sample_idx, view.detach())


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]
    ) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = function(x)
        ctx.save_for_backward(*torch.autograd.grad(value, x))
        return value.detach()

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None


def with_gradient(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute ``function(x)``, a scalar; keep its gradient, not its graph."""
    return _WithGradient.apply(x, function)
