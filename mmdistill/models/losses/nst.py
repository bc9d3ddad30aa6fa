from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.models.losses.maps import match_sizes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class NSTLoss(DistillLoss):
    """Match the distributions of channel activation patterns (NST).

    The loss is the squared maximum mean discrepancy between the student's
    channels s and the teacher's channels t, each flattened over positions and
    L2-normalized, under the kernel k(a, b) = <a, b>^2: the mean over samples
    and pairs of channels of k(t, t') + k(s, s') - 2 k(s, t), summed over
    stages. The teacher's term k(t, t') is constant but part of the value.

    Paper: Huang and Wang, Like What You Like: Knowledge Distill via Neuron
    Selectivity Transfer, 2017, https://arxiv.org/abs/1707.01219, with the
    polynomial kernel of degree 2 and offset 0.

    Args:
        loss_weight: factor on the loss; 50 in the CIFAR-100 tables.
    Shape:
        student, teacher: equally long sequences of (N, C_i, H_i, W_i); widths
        may differ; the larger map is pooled to the smaller. Returns ().
    Config:
        losses=dict(nst=dict(type='NSTLoss', loss_weight=50.0))
    """

    level = 'maps'

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor]
    ) -> Tensor:
        terms = []
        for s, t in zip(student, teacher, strict=True):
            s, t = (x.flatten(2) for x in match_sizes(s, t.detach()))
            # Multiply-adds per sample of both formulations; pick the cheaper.
            by_channels = s.shape[2] * (
                s.shape[1] ** 2 + s.shape[1] * t.shape[1] + t.shape[1] ** 2
            )
            by_positions = s.shape[2] ** 2 * (s.shape[1] + t.shape[1])
            fewer = by_positions < by_channels
            way = _by_positions if fewer else _ByChannels.apply
            terms.append(way(s, t))
        return self.loss_weight * add_up(terms)


def _by_positions(student: Tensor, teacher: Tensor) -> Tensor:
    """The discrepancy from (P, P) Gram matrices: two (N, C, P) to ().

    Since <a, b>^2 = <a a^T, b b^T>, the discrepancy is the squared distance
    between the student's and the teacher's mean over channels of a a^T.
    """
    units = (F.normalize(x, dim=2) for x in (student, teacher))
    mean_s, mean_t = (torch.bmm(x.mT, x) / x.shape[1] for x in units)
    return (mean_s - mean_t).square().sum() / len(student)


class _ByChannels(torch.autograd.Function):
    """The discrepancy from (C, C) Gram matrices: two (N, C, P) to ().

    The maps are much larger than the (C, C) products, so the products are
    normalized instead of the maps. The backward pass is written by hand,
    because autograd would keep one map-sized tensor per factor.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        ss = torch.bmm(student, student.mT)
        st = torch.bmm(student, teacher.mT)
        tt = torch.bmm(teacher, teacher.mT)
        # The diagonal holds squared norms; 1e-12 is F.normalize's eps.
        inverse_s, inverse_t = (
            x.diagonal(dim1=1, dim2=2).clamp(min=1e-24).rsqrt()
            for x in (ss, tt)
        )
        for products, a, b in (
            (ss, inverse_s, inverse_s),
            (st, inverse_s, inverse_t),
            (tt, inverse_t, inverse_t),
        ):
            products.mul_(a[:, :, None]).mul_(b[:, None, :])
        # Mean kernel value of each channel with the other channels.
        mean_ss, mean_st, mean_tt = (
            torch.linalg.vecdot(x, x) / x.shape[2] for x in (ss, st, tt)
        )
        ctx.save_for_backward(
            student, teacher, ss, st, inverse_s, inverse_t, mean_ss - mean_st
        )
        return mean_tt.mean() + (mean_ss - 2 * mean_st).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        student, teacher, ss, st, inverse_s, inverse_t, along = (
            ctx.saved_tensors
        )
        scale = 4 * grad / along.numel() * inverse_s
        to_s = ss * (scale / ss.shape[2])[:, :, None] * inverse_s[:, None, :]
        to_t = st * (scale / -st.shape[2])[:, :, None] * inverse_t[:, None, :]
        # The loss does not depend on a channel's length: project it out.
        to_s.diagonal(dim1=1, dim2=2).sub_(scale * inverse_s * along)
        return torch.bmm(to_s, student).baddbmm_(to_t, teacher), None
