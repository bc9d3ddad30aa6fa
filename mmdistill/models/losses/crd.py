from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.noise_contrastive import (
    Embedding,
    is_score,
    noise_contrastive,
    warn_of_few_negatives,
)
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.ops import add_up, all_reduce_sum
from mmdistill.registry import MODELS


@MODELS.register_module()
class CRDLoss(DistillLoss):
    """Contrast a sample's student and teacher features with other samples'.

    Each side's embedding v is scored against the memory bank M of the other
    side: P_j = exp(<M_j, v> / T) / Z for the sample itself and for K negatives
    of other classes. The noise-contrastive loss is -(1/N) sum [log P / (P +
    K/n) + sum_K log (K/n) / (P_k + K/n)], added over both sides. The
    normalizer Z is set once, from the first batch, to n times the mean of exp.
    One matrix product scores the whole bank; the K + 1 columns are gathered
    afterwards. The banks are updated after ``backward``.

    A bank has a row for every training sample. For sets of many millions
    ``queue_size`` replaces the banks by queues of the latest embeddings of all
    processes: the positive is then the other side's embedding of the same
    batch, the negatives are all rows of other classes, and n is
    ``queue_size``.

    Paper: Tian et al., Contrastive Representation Distillation, ICLR 2020,
    https://arxiv.org/abs/1910.10699, eqs. 9 to 11 and 18, as in the authors'
    code, https://github.com/HobbitLong/RepDistiller.

    Args:
        student_dim, teacher_dim: widths of the features; the distiller fills
            them in.
        embed_dim: width of the embeddings.
        num_samples: n, length of the training set; taken from it if None.
        num_negatives: K negatives per sample, drawn with replacement, see
            `InstanceBank.draw_negatives`.
        temperature: T, dimensionless.
        momentum: fraction of a bank's row kept when its sample is seen.
        exclude_class: draw negatives from other classes only; False needs no
            labels and excludes only the sample itself.
        bank_dtype: storage dtype of banks and queues: 'float32', 'bfloat16'
            or 'float16'.
        queue_size: rows of the queues that replace the banks; None for banks.
            Queues ignore num_samples, num_negatives and momentum.
        loss_weight: factor on the loss; 0.8 in the CIFAR-100 tables.
    Shape:
        student: (N, D_s); teacher: (N, D_t); sample_idx: (N,) indices in the
        training set; label: (N,), -1 for unlabeled samples; negatives: (N,
        K) indices, drawn when None. Returns ().
    Raises:
        ValueError: if the number of training samples is not known, or an
            index is out of range.
    Config:
        losses=dict(crd=dict(type='CRDLoss', num_negatives=16384,
                             loss_weight=0.8))
    """

    level = 'feature'
    requires: tuple[str, ...] = ('sample_idx', 'label')
    #: Type of the embeddings, built with input and output width.
    embedding: ClassVar[type[nn.Module]] = Embedding
    #: Whether embeddings, and so the rows of the banks, have length 1.
    unit_rows: ClassVar[bool] = True

    normalisers: Tensor

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        embed_dim: int = 128,
        num_samples: int | None = None,
        num_negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
        exclude_class: bool = True,
        bank_dtype: str = 'float32',
        queue_size: int | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if not exclude_class:
            self.requires = ('sample_idx',)
        self.num_negatives = num_negatives
        self.temperature = temperature
        self.embed_student = self.embedding(student_dim, embed_dim)
        self.embed_teacher = self.embedding(teacher_dim, embed_dim)
        self.queue_size = queue_size
        if queue_size is None:
            bank = num_samples, embed_dim, momentum, bank_dtype, self.unit_rows
            self.bank_student = InstanceBank(*bank)
            self.bank_teacher = InstanceBank(*bank)
        else:
            queue = queue_size, embed_dim, bank_dtype
            self.queue_student = FeatureQueue(*queue)
            self.queue_teacher = FeatureQueue(*queue)
            # Index and label of each row, -1 for an unlabeled one.
            self.queue_samples = FeatureQueue(queue_size, 2, 'int64')
        # Z of the student's and of the teacher's side; 0 until it is set.
        self.register_buffer('normalisers', torch.zeros(2))
        self._normalisers_set = False

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(student_dim=student.dim, teacher_dim=target.dim)

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        sample_idx: Tensor,
        label: Tensor | None = None,
        negatives: Tensor | None = None,
    ) -> Tensor:
        student = self.embed_student(student)
        teacher = self.embed_teacher(teacher)
        if self.queue_size is None:
            scores = self._against_banks(
                student, teacher, sample_idx, label, negatives
            )
        else:
            scores = self._against_queues(student, teacher, sample_idx, label)
        loss = self.loss_weight * self._objective(scores)
        self.after_backward(
            loss, lambda: self._remember(sample_idx, label, student, teacher)
        )
        return loss

    def set_training_set(
        self, num_samples: int, labels: Tensor | None
    ) -> None:
        super().set_training_set(num_samples, labels)
        if self.queue_size is None:
            warn_of_few_negatives(
                type(self).__name__, self.bank_student, self.num_negatives
            )

    def _against_banks(
        self,
        student: Tensor,
        teacher: Tensor,
        sample_idx: Tensor,
        label: Tensor | None,
        negatives: Tensor | None,
    ) -> list[Tensor]:
        self.bank_student.require_indices(sample_idx)
        if negatives is None:
            negatives = self.bank_student.draw_negatives(
                sample_idx, self.num_negatives, label
            )
        samples = torch.cat([sample_idx[:, None], negatives], dim=1)
        sides = (student, self.bank_teacher), (teacher, self.bank_student)
        return [
            self._scores(anchors, bank.features).gather(1, samples)
            for anchors, bank in sides
        ]

    def _against_queues(
        self,
        student: Tensor,
        teacher: Tensor,
        sample_idx: Tensor,
        label: Tensor | None,
    ) -> list[Tensor]:
        """Scores against all queue rows; -inf for rows of the same class."""
        index, labels = self.queue_samples.features.unbind(1)
        same = index == sample_idx[:, None]
        if label is not None:
            same |= (labels == label[:, None]) & (label[:, None] >= 0)
        sides = (
            (student, teacher.detach(), self.queue_teacher),
            (teacher, student.detach(), self.queue_student),
        )
        scores = []
        for anchors, positives, queue in sides:
            positive = (anchors * positives).sum(1) / self.temperature
            negative = self._scores(anchors, queue.features)
            negative = negative.masked_fill(same, -torch.inf)
            scores.append(torch.cat([positive[:, None], negative], dim=1))
        return scores

    def _scores(self, anchors: Tensor, rows: Tensor) -> Tensor:
        """<M_j, v> / T for all rows j of a memory M: (N, len(M))."""
        anchors = anchors / self.temperature
        return anchors @ rows.to(anchors.dtype).t()

    def _objective(self, scores: list[Tensor]) -> Tensor:
        """The loss given the scores of both sides, each (N, 1 + K)."""
        log_z = self._normalize(scores).log()
        count = is_score(scores[0][:, 1:]).sum(dim=1, keepdim=True)
        count = count.clamp(min=1).to(log_z)  # 0 while a queue is empty
        return add_up(
            noise_contrastive((x - z).exp(), self._num_samples(), count)
            for x, z in zip(scores, log_z, strict=True)
        )

    def _num_samples(self) -> int:
        """n, the number of samples that the noise is uniform over."""
        return self.queue_size or len(self.bank_student)

    def _normalize(self, scores: list[Tensor]) -> Tensor:
        """Z of both sides, set once from the first batch of all processes.

        With queues it is the first batch that finds a filled queue and
        trains: what `QueueHook` fills queues with beforehand sets nothing.
        """
        if self._normalisers_set:
            return self.normalisers
        found = self.normalisers
        if not found.any():
            sums = torch.stack([x.detach().exp().sum() for x in scores])
            counts = torch.stack([is_score(x).sum() for x in scores])
            means = all_reduce_sum(sums) / all_reduce_sum(counts)
            found = means * self._num_samples()
        if scores[0].shape[1] == 1 or not torch.is_grad_enabled():
            return found
        self.normalisers.copy_(found)
        self._normalisers_set = True
        return self.normalisers

    def _remember(
        self,
        sample_idx: Tensor,
        label: Tensor | None,
        student: Tensor,
        teacher: Tensor,
    ) -> None:
        student, teacher = student.detach(), teacher.detach()
        if self.queue_size is None:
            self.bank_student.update(sample_idx, student)
            self.bank_teacher.update(sample_idx, teacher)
        else:
            self.queue_student.enqueue(student)
            self.queue_teacher.enqueue(teacher)
            if label is None:
                label = torch.full_like(sample_idx, -1)
            self.queue_samples.enqueue(torch.stack([sample_idx, label], 1))

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._normalisers_set = False
