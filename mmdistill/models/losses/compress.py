from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.soft_targets import mean_inner_product
from mmdistill.models.memories import FeatureQueue
from mmdistill.registry import MODELS


@MODELS.register_module()
class CompRessLoss(DistillLoss):
    """Match a sample's similarities to earlier samples, kept in queues.

    KL(softmax(<z_t, a_k> / tau) || softmax(<z_s, b_k> / tau)), mean over the
    batch, where a_k and b_k are the teacher's and the student's feature of
    the k-th earlier sample. All vectors are L2-normalized. The queues do not
    hold the sample itself.

    Paper: Abbasi Koohpayegani et al., CompRess: Self-Supervised Learning by
    Compressing Representations, NeurIPS 2020,
    https://arxiv.org/abs/2010.14713, 'Ours-2q' and 'Ours-1q'. The public code
    (https://github.com/UMBCvision/CompRess) fills the student's queue from a
    momentum copy of the student: ``rows_of='slow_student'`` in an
    `OfflineDistiller` with ``slow_student=True``.

    Args:
        student_dim, teacher_dim: widths; the distiller fills them in.
        queue_size: M, earlier samples in each queue; 128000 in the paper.
        queue_dtype: their storage dtype.
        queues: 2 compares the student with its own earlier features; 1
            compares it with the teacher's, which must be as wide.
        rows_of: name of the target whose features fill the student's queue;
            None for the student itself.
        temperature: tau of both sides; 0.04 in the paper.
        loss_weight: factor on the loss.
    Shape:
        student, student_rows: (N, D_s); teacher: (N, D_t). Returns (), which
        is 0 while the queues are empty.
    Raises:
        ValueError: for another number of queues, or one queue for a student
            and a teacher of different widths.
    Config:
        losses=dict(compress=dict(type='CompRessLoss', queue_size=128000))
    """

    level = 'embedding'

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        queue_size: int = 128000,
        queue_dtype: str = 'float32',
        queues: int = 2,
        rows_of: str | None = None,
        temperature: float = 0.04,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if queues not in (1, 2):
            raise ValueError(
                "CompRessLoss knows queues=1 (the teacher's for both) and "
                f'queues=2 (one each), got {queues!r}'
            )
        if queues == 1 and student_dim != teacher_dim:
            raise ValueError(
                'CompRessLoss compares both with one queue, but the student '
                f'is {student_dim} wide and the teacher {teacher_dim}; set '
                'queues=2'
            )
        if queues == 1 and rows_of is not None:
            raise ValueError(
                f"CompRessLoss.rows_of={rows_of!r} fills the student's queue, "
                'which queues=1 does not have; leave it out, or set queues=2'
            )
        self.temperature = temperature
        self.teacher_queue = FeatureQueue(queue_size, teacher_dim, queue_dtype)
        self.student_queue = None
        if queues == 2:
            self.student_queue = FeatureQueue(
                queue_size, student_dim, queue_dtype
            )
        if rows_of is not None:
            self.further_targets = dict(student_rows=rows_of)

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(student_dim=student.dim, teacher_dim=target.dim)

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        student_rows: Tensor | None = None,
    ) -> Tensor:
        rows = student if student_rows is None else student_rows
        queue = self.student_queue
        if queue is None:
            queue = self.teacher_queue
        with torch.no_grad():
            target = self._log_similarities(teacher, self.teacher_queue)
        difference = target - self._log_similarities(student, queue)
        divergence = mean_inner_product(target.exp(), difference)
        loss = self.loss_weight * divergence
        self.after_backward(
            loss, lambda: self._enqueue(rows.detach(), teacher)
        )
        return loss

    @torch.no_grad()
    def _enqueue(self, student: Tensor, teacher: Tensor) -> None:
        self.teacher_queue.enqueue(F.normalize(teacher))
        if self.student_queue is not None:
            self.student_queue.enqueue(F.normalize(student))

    def _log_similarities(self, x: Tensor, queue: FeatureQueue) -> Tensor:
        """Log-probabilities of a queue's M rows: (N, D) to (N, M)."""
        queries = F.normalize(x) / self.temperature
        rows = queue.features.to(queries.dtype)
        return F.log_softmax(queries @ rows.t(), dim=1)
