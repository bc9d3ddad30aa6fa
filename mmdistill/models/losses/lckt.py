from __future__ import annotations

import math

import torch
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.crd import Embedding
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class LCKTLoss(DistillLoss):
    """WCoRD's local part: optimal transport within the batch.

    sum_ij P_ij C_ij with C = 1 - cosine of the embedded features, and P the
    entropic plan between uniform marginals. The plan gets no gradient, the
    cost does. Equation (13) is not in the paper's supplement; this is our
    reading of its primal form.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, supplement (seed 002_77988714efc8ae01.txt), Algorithm 1.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        embed_dim: width of the embeddings.
        epsilon: entropic regularisation, in units of the cost.
        iterations: Sinkhorn iterations in the log domain, from potentials of
            0, the student's rows first.
        loss_weight: lambda_2; 0.05 on CIFAR and ImageNet (our choice), 0.1
            for privileged information.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Config:
        losses=dict(lckt=dict(type='LCKTLoss', loss_weight=0.05))
    """

    level = 'feature'

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        embed_dim: int = 128,
        epsilon: float = 0.05,
        iterations: int = 50,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.epsilon = epsilon
        self.iterations = iterations
        self.embed_student = Embedding(student_dim, embed_dim)
        self.embed_teacher = Embedding(teacher_dim, embed_dim)

    @full_precision
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        cost = (
            1 - self.embed_student(student) @ self.embed_teacher(teacher).t()
        )
        return self.loss_weight * (self.plan(cost) * cost).sum()

    @torch.no_grad()
    def plan(self, cost: Tensor) -> Tensor:
        """The transport plan: (N, N) costs to (N, N), total 1."""
        score = -cost / self.epsilon
        log_mass = -math.log(len(cost))
        rows = cost.new_zeros(len(cost), 1)
        columns = cost.new_zeros(1, len(cost))
        for _ in range(self.iterations):
            rows = log_mass - (score + columns).logsumexp(1, keepdim=True)
            columns = log_mass - (score + rows).logsumexp(0, keepdim=True)
        return (score + rows + columns).exp()
