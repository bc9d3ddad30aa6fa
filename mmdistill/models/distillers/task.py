"""What the student would learn alone: its head's own loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from mmdistill.models.classifiers import PrototypicalNetwork
from mmdistill.models.parts import head_of
from mmdistill.models.representation import Representation
from mmdistill.ops import labeled_count

#: Logs one number under a name.
Log = Callable[[str, Tensor], None]


def task_loss(
    student: nn.Module,
    seen: Representation,
    data_samples: Sequence,
    label: Tensor | None,
    log: Log,
) -> Tensor:
    """The mean of the head's loss over the labeled rows; 0 for none.

    With several processes it is their joined batch's mean once DDP has
    averaged the gradients. A student of few-shot episodes
    (`PrototypicalNetwork`) learns from its feature, too, or without a head
    from nothing else.

    Args:
        student: a classifier that `check_task_head` let pass.
        seen: its representation of the batch.
        data_samples: the batch's samples, for mixed labels.
        label: (N,), -1 where unknown; None if no sample has one.
        log: takes the accuracy of a head with ``cal_acc``.
    Raises:
        ValueError: if there are no labels at all.
    """
    if label is None:
        raise ValueError(
            'the task loss needs labels but no sample of this batch has '
            'one; use a labeled dataset or set model.task_weight=0'
        )
    if not isinstance(student, PrototypicalNetwork):
        return _head_loss(student.head, seen.logits, data_samples, label, log)
    loss = student.episode_loss(seen.feature, label)
    if seen.logits is not None:
        loss = loss + _head_loss(
            student.head, seen.logits, data_samples, label, log
        )
    return loss


def _head_loss(
    head: ClsHead,
    logits: Tensor,
    data_samples: Sequence,
    label: Tensor,
    log: Log,
) -> Tensor:
    if data_samples[0].get('gt_score', None) is not None:
        target = torch.stack([s.gt_score for s in data_samples])
        if head.cal_acc:
            raise ValueError(
                'model.student.head.cal_acc=True needs one class an '
                'image, which MixUp and CutMix mix; set cal_acc=False, or '
                'leave batch_augments and to_onehot out of '
                'data_preprocessor'
            )
    else:
        target = label.clamp(min=0)
        if head.cal_acc:
            _log_accuracy(head.topk, logits, label, log)
    return head.loss_module(
        logits.float(),
        target,
        weight=(label >= 0).float(),
        avg_factor=labeled_count(label),
    )


@torch.no_grad()
def _log_accuracy(
    topk: Sequence[int], logits: Tensor, label: Tensor, log: Log
) -> None:
    """Log ``accuracy_top-k`` in percent, as a head with ``cal_acc`` does.

    It is that of the labeled rows, 0 for none. MMPretrain's counts a score
    that is not positive as wrong, logits or not; here the order alone counts.
    """
    hits = logits.topk(max(topk)).indices == label[:, None]
    known = (label >= 0).sum().clamp(min=1)
    for k in topk:
        log(f'accuracy_top-{k}', 100 * hits[:, :k].sum() / known)


def check_task_head(student: nn.Module) -> None:
    """Raise ValueError if a student's head cannot be taught by `task_loss`.

    It cannot if it keeps its loss to itself, or is to log a top-k accuracy of
    more classes than it has.
    """
    head = head_of(student)
    if head is None and isinstance(student, PrototypicalNetwork):
        return
    if not isinstance(head, ClsHead) or (
        type(head)._get_loss is not ClsHead._get_loss
    ):
        raise ValueError(
            'the task loss is taken on the class scores that the losses '
            'see, so model.student.head must be a ClsHead with a '
            f'loss_module, got {type(head).__name__}; use another head '
            'or set model.task_weight=0'
        )
    classes = _num_classes(head)
    if head.cal_acc and max(head.topk) > classes:
        raise ValueError(
            f'model.student.head.topk={head.topk} asks for more classes '
            f'than there are, {classes}; lower it'
        )


def logs_accuracy(student: nn.Module) -> bool:
    """Whether the head is told to log its training accuracy."""
    head = head_of(student)
    return isinstance(head, ClsHead) and head.cal_acc


def _num_classes(head: ClsHead) -> int:
    """How many classes a head has; all that topk needs if it does not tell."""
    return getattr(head, 'num_classes', None) or max(head.topk)
