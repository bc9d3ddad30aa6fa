from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.ops import l2_normalize
from mmdistill.registry import MODELS


@MODELS.register_module()
class FeatureRegressionLoss(DistillLoss):
    """Regress the teacher's normalized feature from the student's.

    The mean over the batch of |n(r(f_s)) - n(f_t)|^2, where r is a trained
    linear map, followed by BatchNorm in Reg-BN, and n is L2 normalization.

    Paper: Reg and Reg-BN in Tables 1 and 5 of Choi et al., Unsupervised
    Representation Transfer for Small Networks: I Believe I Can Distill
    On-the-Fly, NeurIPS 2021 (https://proceedings.neurips.cc/paper/2021). It
    takes them from Yu et al., Learning Metrics from Teachers, CVPR 2019,
    https://arxiv.org/abs/1904.03624, and from CompRess, and gives no formula:
    the normalization on both sides, the bias of r and a BatchNorm without
    weights are our reading.

    Args:
        student_dim, teacher_dim: widths of the features; the distiller fills
            them in.
        batch_norm: Reg-BN; False is Reg.
        loss_weight: factor on the loss.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Config:
        losses=dict(reg=dict(type='FeatureRegressionLoss', batch_norm=True))
    """

    level = 'feature'

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        batch_norm: bool = False,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.regressor = nn.Sequential(nn.Linear(student_dim, teacher_dim))
        if batch_norm:
            self.regressor.append(nn.BatchNorm1d(teacher_dim, affine=False))
            self.min_batch = 2

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(student_dim=student.dim, teacher_dim=target.dim)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        difference = l2_normalize(self.regressor(student)) - l2_normalize(
            teacher
        )
        return self.loss_weight * difference.square().sum(dim=1).mean()
