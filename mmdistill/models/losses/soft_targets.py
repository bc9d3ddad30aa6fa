from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.models.losses.view_pairs import as_list, view_pairs
from mmdistill.ops import add_up


def as_views(
    student: Tensor | Sequence[Tensor],
    teacher: Tensor | Sequence[Tensor],
    pairs: str,
) -> tuple[list[Tensor], list[Tensor], str]:
    """Both sides as lists of views, and the rule that pairs them.

    Two tensors count as one view each and are compared for any ``pairs``.
    """
    if isinstance(student, Tensor):
        pairs = 'all'
    return as_list(student), as_list(teacher), pairs


def soft_cross_entropy(
    views: Sequence[Tensor],
    targets: Sequence[Tensor],
    temperature: float,
    pairs: str,
    reduction: str,
    log_prior: Tensor | None = None,
) -> Tensor:
    """-<p_t, z_s / tau> + log sum_k prior_k exp(z_s^(k) / tau), over pairs.

    Without a prior it is the cross-entropy of softmax(z_s / tau) with p_t. The
    log-sum-exp of a view is computed once for all its pairs, and the only
    (N, K) tensors allocated are the gradients: with 65536 prototypes and eight
    crops, one further matrix per view would take gigabytes.

    Args:
        views: z_s, the student's scores.
        targets: p_t, the teacher's probabilities.
        temperature: tau.
        pairs, reduction: see `view_pairs`; each pair contributes its mean
            over samples.
        log_prior: log of the prior over prototypes; None for no prior.
    Shape:
        views, targets: lists of (N, K), global views first; log_prior: (K,).
        Returns ().
    """
    chosen, factor = view_pairs(len(views), len(targets), pairs, reduction)
    total = _SoftCrossEntropy.apply(
        temperature, log_prior, targets, chosen, *views
    )
    return factor * total


class _SoftCrossEntropy(torch.autograd.Function):
    """The sum over pairs; forward and backward run in chunks of rows."""

    @staticmethod
    def forward(
        ctx: Any,
        temperature: float,
        log_prior: Tensor | None,
        targets: Sequence[Tensor],
        pairs: Sequence[tuple[int, int]],
        *views: Tensor,
    ) -> Tensor:
        ctx.temperature, ctx.log_prior = temperature, log_prior
        ctx.targets = [
            [targets[t] for t, v in pairs if v == s] for s in range(len(views))
        ]
        terms, spreads = [], []
        for view, mine in zip(views, ctx.targets, strict=True):
            spread = view.new_empty(len(view))
            product = torch.zeros_like(spread)
            for rows in _chunks(view):
                scores = view[rows] / temperature
                for target in mine:
                    product[rows] += _inner_products(target[rows], scores)
                if log_prior is not None:
                    scores += log_prior
                spread[rows] = scores.logsumexp(dim=1)
            terms.append((len(mine) * spread - product).mean())
            spreads.append(spread)
        ctx.save_for_backward(*views, *spreads)
        return add_up(terms)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        views, spreads = saved[: len(saved) // 2], saved[len(saved) // 2 :]
        grads = []
        for view, spread, mine in zip(
            views, spreads, ctx.targets, strict=True
        ):
            result = torch.empty_like(view)
            factor = grad / (len(view) * ctx.temperature)
            for rows in _chunks(view):
                scores = torch.div(
                    view[rows], ctx.temperature, out=result[rows]
                )
                if ctx.log_prior is not None:
                    scores += ctx.log_prior
                scores.sub_(spread[rows, None]).exp_().mul_(len(mine))
                for target in mine:
                    scores -= target[rows]
                scores *= factor
            grads.append(result)
        return None, None, None, None, *grads


def _chunks(x: Tensor) -> list[slice]:
    """Row slices of x (N, K) with at most 2^21 elements, or one row, each."""
    size = max(1, 2**21 // max(x.shape[1], 1))
    return [slice(i, i + size) for i in range(0, len(x), size)]


def mean_inner_product(a: Tensor, b: Tensor) -> Tensor:
    """mean_n <a_n, b_n> for (N, K) tensors."""
    return _inner_products(a, b).mean()


def _inner_products(a: Tensor, b: Tensor) -> Tensor:
    """<a_n, b_n> for (N, K) tensors: (N,).

    vecdot, not einsum: einsum's single float32 sum over N * K terms loses
    digits and is slower.
    """
    return torch.linalg.vecdot(a.to(b.dtype), b, dim=1)
