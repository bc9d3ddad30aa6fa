from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class CCLoss(DistillLoss):
    """Match the correlations between the samples of a batch.

    ``embed='both'``, as in the RepDistiller code, compares two linear
    embeddings that are both trained. These can lower the loss without the
    student, by shrinking to a constant: on fixed, unrelated random features
    300 steps of Adam bring the ``neighbour`` form from 55 to below 0.0001 and
    the ``kernel`` form from 0.006 to below 0.0001. ``embed='student'`` avoids
    this: the target is the teacher's own L2-normalized feature, and only the
    student's side has a linear map. No table here was made with it.

    ``form='neighbour'``, as in the RepDistiller code behind the CIFAR-100
    tables, is the mean over consecutive samples n of sum_j |d_n,j| |d_n+1,j|,
    where d = e_s - e_t. The embeddings are not normalized, as there.

    ``form='kernel'`` is the paper's: the mean over pairs of samples of
    (K_s - K_t)^2 with K(x, y) = sum_{p=0}^P exp(-2 gamma) (2 gamma)^p / p! <x,
    y>^p, the Gaussian kernel of L2-normalized embeddings expanded to order P.
    No table here was made with it, and it needs another loss_weight.

    Paper: Peng et al., Correlation Congruence for Knowledge Distillation,
    ICCV 2019, https://arxiv.org/abs/1904.01802; the ``neighbour`` form is
    from https://github.com/HobbitLong/RepDistiller.

    Args:
        student_dim, teacher_dim: widths of the features; the distiller fills
            them in.
        embed_dim: width of the embeddings; the teacher's own width with
            ``embed='student'``.
        embed: 'both' or 'student': which sides have a trained embedding.
        form: 'neighbour' or 'kernel'.
        gamma: gamma of the ``kernel`` form, dimensionless; 0.4 in the paper.
        order: P of the ``kernel`` form; 2 in the paper.
        loss_weight: factor on the loss; 0.02 in the CIFAR-100 tables.
    Shape:
        student: (N, D_s); teacher: (N, D_t); returns ().
    Raises:
        ValueError: for an unknown form or embed, or for a batch of one
            sample, which has no pairs.
    Config:
        losses=dict(cc=dict(type='CCLoss', loss_weight=0.02))
    """

    level = 'feature'
    min_batch = 2

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        embed_dim: int = 128,
        form: str = 'neighbour',
        gamma: float = 0.4,
        order: int = 2,
        embed: str = 'both',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if form not in ('neighbour', 'kernel'):
            raise ValueError(
                f"CCLoss knows form='neighbour' and 'kernel', got {form!r}"
            )
        if embed not in ('both', 'student'):
            raise ValueError(
                f"CCLoss knows embed='both' and 'student', got {embed!r}"
            )
        self.form = form
        self.embed = embed
        self.gamma = gamma
        self.order = order
        if embed == 'student':
            self.embed_student = nn.Linear(student_dim, teacher_dim)
        else:
            self.embed_student = nn.Linear(student_dim, embed_dim)
            self.embed_teacher = nn.Linear(teacher_dim, embed_dim)

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(student_dim=student.dim, teacher_dim=target.dim)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        if len(student) < self.min_batch:
            raise ValueError(
                f'CCLoss compares pairs of samples, got a batch of '
                f'{len(student)}; set train_dataloader.drop_last=True or a '
                'larger train_dataloader.batch_size'
            )
        student = self.embed_student(student)
        if self.embed == 'student':
            teacher = F.normalize(teacher)
        else:
            teacher = self.embed_teacher(teacher)
        if self.form == 'kernel':
            loss = F.mse_loss(self._kernel(student), self._kernel(teacher))
        else:
            distance = (student - teacher).abs()
            loss = (distance[:-1] * distance[1:]).sum(dim=1).mean()
        return self.loss_weight * loss

    def _kernel(self, x: Tensor) -> Tensor:
        """The expanded Gaussian kernel of all pairs: (N, E) to (N, N)."""
        x = F.normalize(x)
        cosine = x @ x.t()
        return math.exp(-2 * self.gamma) * add_up(
            (2 * self.gamma) ** p / math.factorial(p) * cosine**p
            for p in range(self.order + 1)
        )
