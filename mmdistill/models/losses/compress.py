from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.soft_targets import mean_inner_product
from mmdistill.ops import full_precision
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
    momentum copy of the student; here that is ``model.memory_encoder=
    'slow_student'`` of `OfflineDistiller`, and the default is the student.

    Args:
        temperature: tau of both sides; 0.04 in the paper.
        queues: 2 compares the student with its own earlier features and
            needs the memories 'student_queue' and 'teacher_queue' of equal
            size; 1 compares it with the teacher's, needs 'teacher_queue'
            only, and student and teacher must have equal widths.
        level: representation that is compared.
        loss_weight: factor on the loss.
    Shape:
        student: (N, D_s); teacher: (N, D_t); student_queue: (M, D_s) and
        teacher_queue: (M, D_t) unit vectors; row k of both is of the same
        sample. With M = 0 the loss is 0. Without student_queue the student is
        compared with teacher_queue. Returns ().
    Raises:
        ValueError: for another number of queues, queues of different lengths,
            or one queue for a student and a teacher of different widths.
    Config:
        losses=dict(compress=dict(type='CompRessLoss')),
        memories=dict(
            student_queue=dict(type='FeatureQueue', size=128000),
            teacher_queue=dict(type='FeatureQueue', size=128000))
    """

    level = 'embedding'
    needs = ('student_queue', 'teacher_queue')

    def __init__(
        self,
        temperature: float = 0.04,
        queues: int = 2,
        level: str = 'embedding',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if queues not in (1, 2):
            raise ValueError(
                "CompRessLoss knows queues=1 (the teacher's for both) and "
                f'queues=2 (one each), got {queues!r}'
            )
        self.temperature = temperature
        self.level = level
        if queues == 1:
            self.needs = ('teacher_queue',)

    @full_precision
    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        student_queue: Tensor | None = None,
        teacher_queue: Tensor | None = None,
    ) -> Tensor:
        if teacher_queue is None:
            raise ValueError('CompRessLoss needs teacher_queue, got None')
        if student_queue is None:
            _check_widths(student, teacher)
            student_queue = teacher_queue
        if len(student_queue) != len(teacher_queue):
            raise ValueError(
                f'row k of both queues must be of one sample, but they hold '
                f'{len(student_queue)} (student) and {len(teacher_queue)} '
                '(teacher) rows; give memories.student_queue and memories.'
                'teacher_queue one size'
            )
        with torch.no_grad():
            target = self._log_similarities(teacher, teacher_queue)
        difference = target - self._log_similarities(student, student_queue)
        divergence = mean_inner_product(target.exp(), difference)
        return self.loss_weight * divergence

    @full_precision
    @torch.no_grad()
    def remember(self, student: Tensor, teacher: Tensor) -> dict[str, Tensor]:
        """The rows that enter the memories after the step, one per sample."""
        rows = dict(teacher_queue=F.normalize(teacher))
        if 'student_queue' in self.needs:
            rows['student_queue'] = F.normalize(student)
        else:
            _check_widths(student, teacher)
        return rows

    def _log_similarities(self, x: Tensor, queue: Tensor) -> Tensor:
        """Log-probabilities of the queue's rows: (N, D), (M, D) to (N, M)."""
        queries = F.normalize(x) / self.temperature
        return F.log_softmax(queries @ queue.t(), dim=1)


def _check_widths(student: Tensor, teacher: Tensor) -> None:
    if student.shape[1] != teacher.shape[1]:
        raise ValueError(
            'CompRessLoss compares both with one queue, but the student is '
            f'{student.shape[1]} wide and the teacher {teacher.shape[1]}; set '
            'queues=2 and add the memory student_queue'
        )
