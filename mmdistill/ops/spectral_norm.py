from __future__ import annotations

import torch
from torch import Tensor


def norm_bound(weight: Tensor, iterations: int = 5) -> Tensor:
    """A differentiable upper bound of a matrix's spectral norm.

    The Gram matrix G = W W^T (of the shorter side) is squared k =
    ``iterations`` times. The Frobenius norm of G^(2^k), to the power
    2^-(k+1), is at least the spectral norm of W and exceeds it by a factor of
    at most rank^(2^-(k+2)): 3.9 % for rank 128 and five iterations. Unlike
    power iteration it is an upper bound, has no state, and does not depend on
    the training mode or the process.

    Paper: Delattre et al., Efficient Bound of Lipschitz Constant for
    Convolutional Layers by Gram Iteration, ICML 2023,
    https://arxiv.org/abs/2305.16173.

    Shape:
        weight: (M, N) float; returns (), at least the dtype's smallest normal
        number.
    """
    tiny = torch.finfo(weight.dtype).tiny
    short = weight if weight.shape[0] <= weight.shape[1] else weight.t()
    # Keep the matrices at Frobenius norm 1 and collect the log of the scales.
    scale = torch.linalg.matrix_norm(short).clamp(min=tiny)
    log_bound = scale.log()
    power = (short / scale) @ (short / scale).t()
    for k in range(1, iterations + 1):
        scale = torch.linalg.matrix_norm(power).clamp(min=tiny)
        log_bound = log_bound + scale.log() / 2**k
        power = power / scale
        power = power @ power
    scale = torch.linalg.matrix_norm(power).clamp(min=tiny)
    log_bound = log_bound + scale.log() / 2 ** (iterations + 1)
    return log_bound.exp().clamp(min=tiny)


def orthonormal(weight: Tensor, iterations: int = 8) -> Tensor:
    """Approximate the closest matrix to W with singular values 1.

    It starts from W / `norm_bound` (W) and iterates X <- X (3 - X^T X) / 2
    (Bjorck and Bowie), which converges to the closest matrix with orthonormal
    columns, or rows if there are fewer rows. Each step maps a singular value s
    in [0, 1] to s (3 - s^2) / 2, which is larger and at most 1: eight steps
    take 0.1 to 0.998. Much smaller values stay well below 1, and 0 stays 0.

    Paper: Anil et al., Sorting Out Lipschitz Function Approximation, ICML
    2019, https://arxiv.org/abs/1811.05381. There, critics that preserve the
    norm of gradients give the best estimates of the Wasserstein distance.

    Shape:
        weight: (M, N) float; returns (M, N).
    """
    wide = weight.shape[0] <= weight.shape[1]
    x = weight if wide else weight.t()
    x = x / norm_bound(x)
    for _ in range(iterations):
        x = 1.5 * x - 0.5 * (x @ x.t()) @ x
    return x if wide else x.t()
