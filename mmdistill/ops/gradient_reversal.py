from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.alpha * gradient, None


def reverse_gradient(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Gradient reversal: the identity, with gradients scaled by -``alpha``.

    Layers after it learn to discriminate; layers before it learn to make the
    discrimination fail.

    Paper: Ganin and Lempitsky, Unsupervised Domain Adaptation by
    Backpropagation, ICML 2015, https://arxiv.org/abs/1409.7495, eqs. 9 and
    10.

    Args:
        x: any tensor.
        alpha: factor on the reversed gradient.
    Shape:
        x: any shape; returns that shape.
    """
    return _ReverseGradient.apply(x, alpha)
