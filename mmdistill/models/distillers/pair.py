from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.base import TASK, TOTAL, BaseDistiller
from mmdistill.models.distillers.preprocessor import (
    PairPreprocessor,
    ViewsPreprocessor,
)
from mmdistill.models.distillers.views import global_views, read_views
from mmdistill.models.distillers.wiring import (
    Edge,
    Side,
    build_loss,
    check_needs,
    check_stages,
    remembered_widths,
    wants_maps,
)
from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    evaluating,
)
from mmdistill.ops import after_backward, full_precision
from mmdistill.registry import MODELS


class PairDistiller(BaseDistiller):
    """A student that any mixture of losses compares with a target model.

    total = task_weight * task + sum of the losses; each is logged under its
    name. Every loss sees both models' representations of the same images, in
    float32, from one forward pass a model and size of view. The target sees
    the global views only: those as large as the first.

    Losses that take several views get a list of them, global ones first; the
    others, and the task, compare the first view of each.

    A scheme sets ``teacher`` and calls ``_wire``.

    Args:
        student, data_preprocessor, init_cfg: as of `BaseDistiller`.
        teacher_preprocessor: of the target's images; shared when None.
        task_weight: factor on the student's own loss; 0 leaves it out, and
            labels then are not needed.
        dropout_views: the student's head gives every view a second time, with
            its dropout, as a further view (OSS, section 3.2).
    """

    teacher: nn.Module
    _read_student: RepresentationReader
    _read_teacher: RepresentationReader
    #: Of what memories keep in place of the student; None: the student.
    _read_slow_student: RepresentationReader | None = None

    def __init__(
        self,
        student: dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        teacher_preprocessor: nn.Module | None = None,
        task_weight: float = 0.0,
        dropout_views: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(student, data_preprocessor, init_cfg)
        single = self.data_preprocessor
        if teacher_preprocessor is not None:
            single = PairPreprocessor(single, teacher_preprocessor)
        self.data_preprocessor = ViewsPreprocessor(single)
        self.task_weight = task_weight
        if task_weight:
            self.check_task_head()
        elif getattr(getattr(self.student, 'head', None), 'cal_acc', False):
            raise ValueError(
                'model.student.head.cal_acc=True logs accuracy with the task '
                'loss, which model.task_weight=0 leaves out; set cal_acc=False'
            )
        self.dropout_views = dropout_views
        if dropout_views:
            check_dropout(self.student, 'student')
        self.stage = 2  # the only one, but for `StagedTrainLoop`

    def _wire(
        self,
        losses: dict,
        memories: dict,
        input_size: Sequence[int],
        teacher_input_size: Sequence[int] | None = None,
    ) -> tuple[Side, Side]:
        """Build losses and memories that fit what the two models give.

        Returns:
            what student and teacher give.
        """
        self._check_names(losses)
        with_maps = wants_maps(losses)
        student = Side('student', self._read_student, input_size, with_maps)
        teacher = Side(
            'teacher',
            self._read_teacher,
            teacher_input_size or input_size,
            with_maps,
        )
        #: Widths of the student's and of the teacher's feature.
        self.feature_dims = tuple(
            None if side.dry.feature is None else side.dry.feature.shape[1]
            for side in (student, teacher)
        )
        self._edges: dict[str, Edge] = {}
        for name, cfg in losses.items():
            self.losses[name], self._edges[name] = build_loss(
                name, cfg, student, teacher
            )
            check_needs(name, self.losses[name], self._edges[name], memories)
        for loss in self.losses.values():
            if isinstance(loss, DistillLoss):
                loss.connect(self.losses)
        check_stages(self.losses)
        for i, side in enumerate((student, teacher)):
            side.reader.numbers = tuple(
                sorted({n for e in self._edges.values() for n in e.maps[i]})
            )

        widths: dict[str, int] = {}
        for name, loss in self.losses.items():
            rows = remembered_widths(loss, self._edges[name], student, teacher)
            if rows.keys() & widths.keys():
                raise ValueError(
                    f'losses.{name} fills {sorted(rows)}, which another loss '
                    'fills too: every row would be there twice; keep one of '
                    'the two losses'
                )
            widths.update(rows)
        unused = set(memories) - set(widths)
        if unused:
            raise ValueError(
                f'model.memories names {sorted(unused)}, which '
                'no loss needs; remove them'
            )
        self.memories = nn.ModuleDict(
            {
                name: MODELS.build({'dim': widths[name], **cfg})
                for name, cfg in memories.items()
            }
        )
        return student, teacher

    def _check_names(self, losses: dict) -> None:
        if not (losses or self.task_weight or self.own_losses):
            raise ValueError(
                'model.losses is empty and model.task_weight is '
                '0: there is nothing to learn'
            )
        reserved = {TOTAL, TASK, *self.own_losses}
        taken = reserved & set(losses)
        if taken:
            raise ValueError(
                f'a loss may not be named {sorted(taken)}: '
                f'{type(self).__name__} logs {sorted(reserved)} itself; '
                'rename it in model.losses'
            )

    # One step ---------------------------------------------------------------
    def loss(
        self,
        inputs: Tensor | Sequence[Tensor],
        data_samples: list | None = None,
        teacher_inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Every loss by its name, the task's first.

        Args:
            inputs: (N, C, H, W) images of the student, or a list of views,
                global ones first.
            data_samples: N samples with labels and indices.
            teacher_inputs: the same of the teacher; the student's when None.
        """
        views = as_list(inputs)
        fields = self.batch_fields(data_samples, views[0].device)
        active = self._active()
        student = None
        if self.stage == 2 or any(map(_reads_student, active.values())):
            student = read_views(self._read_student, views, self.dropout_views)
        teacher = self._target(
            views if teacher_inputs is None else as_list(teacher_inputs)
        )
        remembered = self._remembered(views)
        losses = {}
        if self.task_weight and self.stage == 2:
            losses[TASK] = self.task_weight * self.task_loss(
                student[0].logits,
                data_samples,
                fields.get('label'),
                student[0].feature,
            )
        for name in active:
            losses[name] = self._compare(
                name, student, teacher, fields, remembered
            )
        return losses

    def prepare_teacher(self) -> None:
        """Called before the target is read; a scheme may load it then."""

    @torch.no_grad()
    def represent_teacher(self, inputs: Tensor) -> Representation:
        """The target's representation of one view, without gradient."""
        self.prepare_teacher()
        return self._read_teacher(inputs)

    @torch.no_grad()
    def _target(self, views: Sequence[Tensor]) -> list[Representation]:
        """The target's representations of the global views."""
        self.prepare_teacher()
        return read_views(self._read_teacher, views[: global_views(views)])

    @torch.no_grad()
    def _remembered(
        self, views: Sequence[Tensor]
    ) -> list[Representation] | None:
        """What memories keep in place of the student's, if anything."""
        if self._read_slow_student is None or not self.training:
            return None
        return read_views(self._read_slow_student, views)

    def _active(self) -> dict[str, nn.Module]:
        """The losses that count in the present stage."""
        return {
            name: loss
            for name, loss in self.losses.items()
            if self.stage in getattr(loss, 'stages', (2,))
        }

    def _compare(
        self,
        name: str,
        student: Sequence[Representation] | None,
        teacher: Sequence[Representation],
        fields: dict[str, Tensor],
        remembered: Sequence[Representation] | None = None,
    ) -> Tensor:
        loss = self.losses[name]
        s, t = self._select(name, student, teacher)
        value = self.counted(
            name, in_full_precision(loss, s, t, **self._needed(name, fields))
        )
        if self.training and hasattr(loss, 'remember'):
            if remembered is not None:
                s, t = self._select(name, remembered, teacher)
            rows = loss.remember(s, t)
            after_backward(value, lambda: self._enqueue(rows))
        return value

    def _needed(self, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """What a loss names in ``needs``, of a batch and of the memories."""
        loss = self.losses[name]
        needed = {}
        for need in getattr(loss, 'needs', ()):
            if need in self.memories:
                needed[need] = self.memories[need].features
            elif need in fields:
                needed[need] = fields[need]
            else:
                raise ValueError(
                    f'losses.{name} ({type(loss).__name__}) needs {need!r}, '
                    'which no sample of this batch has; use a dataset that '
                    f'gives it and PackInputs with {need!r} among its '
                    'meta_keys'
                )
        return needed

    def _select(
        self,
        name: str,
        student: Sequence[Representation] | None,
        teacher: Sequence[Representation],
    ) -> list:
        """What a loss compares of both: a tensor each, or a list of views."""
        loss, edge = self.losses[name], self._edges[name]
        if not _reads_student(loss):
            student = None
        several = getattr(loss, 'views', False) and any(
            len(views) > 1 for views in (student, teacher) if views
        )
        chosen = []
        for side, views in enumerate((student, teacher)):
            reader = (self._read_student, self._read_teacher)[side]
            values = [
                edge.select(side, reader.numbers, view)
                for view in (views or ())[: None if several else 1]
            ]
            chosen.append(values if several else next(iter(values), None))
        return chosen

    def _enqueue(self, rows: dict[str, Tensor | list[Tensor]]) -> None:
        for name, views in rows.items():
            # View by view: each is joined over the processes, so the rows
            # have the order that one process with the joined batch gives.
            for view in as_list(views):
                self.memories[name].enqueue(view.detach())

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Fill the memories from a batch of the dataloader, nothing else."""
        data = self.data_preprocessor(data, True)
        views = as_list(data['inputs'])
        with evaluating(self.student), evaluating(self.teacher):
            # Before the first step a slow student is what the student is.
            student = read_views(self._read_student, views)
            teacher = self._target(as_list(data.get('teacher_inputs', views)))
        for name, loss in self.losses.items():
            if hasattr(loss, 'remember'):
                rows = loss.remember(*self._select(name, student, teacher))
                self._enqueue(rows)


def as_list(views: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The views of a batch; a tensor is one view."""
    return [views] if isinstance(views, Tensor) else list(views)


def check_dropout(model: nn.Module, name: str) -> None:
    """Raise if a model's head draws nothing that makes further views."""
    if not any(getattr(getattr(model, 'head', None), 'dropout', ())):
        raise ValueError(
            f'dropout_views takes views from the dropout of model.{name}.head,'
            ' which has none; give it dropout=(0.1, 0.05), or set '
            'model.dropout_views=False'
        )


@full_precision
def in_full_precision(loss: nn.Module, *args: Any, **needed: Any) -> Tensor:
    """Also losses that do not see to it themselves run in float32."""
    return loss(*args, **needed)


def _reads_student(loss: nn.Module) -> bool:
    return getattr(loss, 'reads_student', lambda: True)()
