from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class RKDLoss(DistillLoss):
    """Match distances between pairs and angles of triplets in the batch.

    The distance part is the smooth-L1 loss between the student's and the
    teacher's pairwise distances, each divided by its mean over pairs. The
    angle part is the smooth-L1 loss between the cosines of the angles of all
    triplets. Both are means over all N^2 or N^3 entries, the degenerate ones
    included, as in the RepDistiller code. Angles are computed from the Gram
    matrix, so memory is O(N^3) and does not grow with D.

    Paper: Park et al., Relational Knowledge Distillation, CVPR 2019,
    https://arxiv.org/abs/1904.05068, eqs. 6 to 11.

    Args:
        distance_weight: factor on the distance part.
        angle_weight: factor on the angle part; 0 skips it and its O(N^3)
            memory.
        loss_weight: factor on their sum.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Raises:
        ValueError: for a batch of one sample, which has no pairs.
    Config:
        losses=dict(rkd=dict(type='RKDLoss'))
    """

    level = 'feature'
    min_batch = 2

    def __init__(
        self,
        distance_weight: float = 25.0,
        angle_weight: float = 50.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if len(student) < self.min_batch:
            raise ValueError(
                f'RKDLoss compares pairs of samples, got a batch of '
                f'{len(student)}; set train_dataloader.drop_last=True or a '
                'larger train_dataloader.batch_size'
            )
        loss = student.new_zeros(())
        if self.distance_weight:
            loss = loss + self.distance_weight * F.smooth_l1_loss(
                _relative_distances(student), _relative_distances(teacher)
            )
        if self.angle_weight:
            loss = loss + self.angle_weight * F.smooth_l1_loss(
                _angles(student), _angles(teacher)
            )
        return self.loss_weight * loss


def _centered_gram(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gram matrix and squared distances of centered x: (N, D) to two (N, N).

    Centering leaves differences unchanged and keeps the products small, which
    limits the cancellation when they are subtracted.
    """
    x = x - x.mean(dim=0, keepdim=True)
    gram = x @ x.t()
    squared = gram.diagonal()
    return gram, squared[:, None] + squared[None, :] - 2 * gram


def _relative_distances(x: Tensor) -> Tensor:
    """Pairwise distances over their mean: (N, D) to (N, N)."""
    n = len(x)
    distance = _centered_gram(x)[1].clamp(min=1e-12).sqrt()
    distance = distance * (1 - torch.eye(n, dtype=x.dtype, device=x.device))
    return distance / (distance.sum() / (n * (n - 1)))


def _angles(x: Tensor) -> Tensor:
    """Cosine of the angle at a between b and c: (N, D) to (N, N, N)."""
    gram, squared = _centered_gram(x)
    # Identical samples can end up slightly apart; the direction between them
    # is rounding noise, so drop it.
    scale = gram.diagonal()
    noise = 32 * torch.finfo(x.dtype).eps * (scale[:, None] + scale[None, :])
    apart = (squared > noise).to(x.dtype)
    inverse = apart * squared.clamp(min=1e-24).rsqrt()
    # <b - a, c - a> = <b, c> - <a, b> - <a, c> + <a, a>
    product = (
        gram[None] - gram[:, :, None] - gram[:, None, :] + scale[:, None, None]
    )
    return product * inverse[:, :, None] * inverse[:, None, :]
