from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.base import (
    TOTAL,
    BaseDistiller,
    _build,
    _preprocessor,
)
from mmdistill.models.distillers.preprocessor import PairPreprocessor
from mmdistill.models.distillers.teacher import (
    fingerprint,
    freeze,
    is_missing_file,
    load_teacher,
)
from mmdistill.models.distillers.wiring import (
    Edge,
    Side,
    build_loss,
    check_needs,
    check_stages,
    remembered_widths,
    wants_maps,
)
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    evaluating,
)
from mmdistill.ops import after_backward, full_precision
from mmdistill.registry import MODELS

TASK = 'task'


@MODELS.register_module()
class OfflineDistiller(BaseDistiller):
    """A student learns from a frozen teacher by any mixture of losses.

    total = task_weight * task + sum of the losses; each is logged under its
    name. Every loss sees both models' representations of the same images, from
    one forward pass each, in float32. Samples labelled -1 count for every loss
    but the task's.

    The teacher is not a submodule: optimizer, ``state_dict``, ``train``,
    ``init_weights`` and DDP never see it. It follows the student's device.

    Args:
        student, teacher: MMPretrain classifiers, as configs.
        losses: name to loss config; widths are filled in.
        teacher_ckpt: the teacher's weights. Needed for training only: a file
            that is not there is an error when training starts.
        task_weight: factor on the student's own loss; 0 leaves it out, and
            labels then are not needed.
        memories: name to memory config, for losses that need one.
        data_preprocessor: of the images; the student's when None.
        teacher_preprocessor: of the teacher's images; shared when None. With
            one, the pipeline may give the teacher images of its own
            (`TeacherView`): privileged information.
        input_size: (C, H, W) of the images, for the dry run that finds out
            widths.
        teacher_input_size: the same of the teacher's, if it differs.
        init_cfg: MMEngine's initialisation config.
    Raises:
        KeyError, ValueError: when a loss lacks what it needs.
        CheckpointError: when the teacher's file does not fit.
    Config:
        model=dict(type='OfflineDistiller', student=..., teacher=...,
                   teacher_ckpt='teacher.pth',
                   losses=dict(kd=dict(type='KDLoss')))
    """

    def __init__(
        self,
        student: dict | nn.Module,
        teacher: dict | nn.Module,
        losses: dict[str, dict],
        teacher_ckpt: str | None = None,
        task_weight: float = 1.0,
        memories: dict[str, dict] | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        teacher_preprocessor: dict | nn.Module | None = None,
        input_size: Sequence[int] = (3, 32, 32),
        teacher_input_size: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(student, data_preprocessor, init_cfg)
        if teacher_preprocessor is not None:
            self.data_preprocessor = PairPreprocessor(
                self.data_preprocessor, _preprocessor(teacher_preprocessor)
            )
        self.task_weight = task_weight
        self.stage = 2  # the only one, but for `StagedTrainLoop`
        if task_weight:
            self.check_task_head()
        # Past nn.Module's registration of submodules, on purpose.
        self.__dict__['teacher'] = freeze(_build(teacher))
        self.teacher_ckpt = teacher_ckpt
        self._teacher_ready = False
        if not is_missing_file(teacher_ckpt):
            self._load_teacher()
        self._read_student = RepresentationReader(
            self.student, 'model.student'
        )
        self._read_teacher = RepresentationReader(
            self.teacher, 'model.teacher'
        )
        self._wire(
            losses,
            memories or {},
            input_size,
            teacher_input_size or input_size,
        )

    def _load_teacher(self) -> None:
        load_teacher(self.teacher, self.teacher_ckpt)
        freeze(self.teacher)
        self._teacher_ready = True

    def _wire(
        self,
        losses: dict,
        memories: dict,
        input_size: Sequence[int],
        teacher_input_size: Sequence[int],
    ) -> None:
        """Build losses and memories that fit what the two models give."""
        if not losses and not self.task_weight:
            raise ValueError(
                'model.losses is empty and model.task_weight is '
                '0: there is nothing to learn'
            )
        taken = {TOTAL, TASK} & set(losses)
        if taken:
            raise ValueError(
                f'a loss may not be named {sorted(taken)}: the '
                'log uses it; rename it in model.losses'
            )
        with_maps = wants_maps(losses)
        student = Side('student', self._read_student, input_size, with_maps)
        teacher = Side(
            'teacher', self._read_teacher, teacher_input_size, with_maps
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
        check_stages(self.losses)
        for i, side in enumerate((student, teacher)):
            side.reader.numbers = tuple(
                sorted({n for e in self._edges.values() for n in e.maps[i]})
            )

        widths: dict[str, int] = {}
        for name, loss in self.losses.items():
            widths.update(
                remembered_widths(loss, self._edges[name], student, teacher)
            )
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

    # The teacher stays outside the module tree -----------------------------
    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        super()._apply(fn, *args, **kwargs)
        self.teacher._apply(fn)
        return self

    def init_weights(self) -> None:
        """Initialise the student; from here on the teacher must be there."""
        if not self._teacher_ready:
            self._load_teacher()
        super().init_weights()

    @torch.no_grad()
    def predict_teacher(self, data: dict) -> list:
        """The teacher's predictions for a batch of the dataloader."""
        prepared = self.data_preprocessor(data, False)
        inputs = prepared['inputs']
        for module in self.data_preprocessor.modules():
            if isinstance(module, PairPreprocessor):
                inputs = module.teacher_inputs(data, False)
        return self.teacher(inputs, prepared['data_samples'], mode='predict')

    def teacher_fingerprint(self) -> str:
        """Hash of the teacher's weights, kept in checkpoints."""
        return fingerprint(self.teacher)

    # One step ---------------------------------------------------------------
    def loss(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        teacher_inputs: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Every loss by its name, the task's first.

        Args:
            inputs: (N, C, H, W) images of the student.
            data_samples: N samples with labels and indices.
            teacher_inputs: (N, C, H, W) images of the teacher; the student's
                when None.
        """
        fields = self.batch_fields(data_samples, inputs.device)
        student = None
        if self.stage == 2 or any(map(_reads_student, self._active())):
            student = self._read_student(inputs)
        teacher = self.represent_teacher(
            inputs if teacher_inputs is None else teacher_inputs
        )
        losses = {}
        if self.task_weight and self.stage == 2:
            losses[TASK] = self.task_weight * self.task_loss(
                student.logits, data_samples, fields.get('label')
            )
        active = self._active()
        for name, loss in self.losses.items():
            if loss in active:
                losses[name] = self._compare(name, student, teacher, fields)
        return losses

    def _active(self) -> list[nn.Module]:
        """The losses that count in the present stage."""
        return [
            loss
            for loss in self.losses.values()
            if self.stage in getattr(loss, 'stages', (2,))
        ]

    def set_stage(self, stage: int) -> None:
        """Be in stage 1 or 2 of a method that has two (`StagedTrainLoop`)."""
        self.stage = stage
        for loss in self.losses.values():
            if hasattr(loss, 'stage'):
                loss.stage = stage
        before = {getattr(m, 'pre_activation', False) for m in self._active()}
        for reader in (self._read_student, self._read_teacher):
            reader.pre_activation = before == {True}

    @torch.no_grad()
    def represent_teacher(self, inputs: Tensor) -> Representation:
        """The frozen teacher's representation of a batch."""
        if not self._teacher_ready:
            self._load_teacher()
        return self._read_teacher(inputs)

    def _compare(
        self,
        name: str,
        student: Representation,
        teacher: Representation,
        fields: dict[str, Tensor],
    ) -> Tensor:
        loss, edge = self.losses[name], self._edges[name]
        s = None
        if student is not None and _reads_student(loss):
            s = edge.select(0, self._read_student.numbers, student)
        t = edge.select(1, self._read_teacher.numbers, teacher)
        needed = {}
        for need in edge.needs:
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
        value = _in_full_precision(loss, s, t, needed)
        if self.training and hasattr(loss, 'remember'):
            rows = loss.remember(s, t)
            after_backward(value, lambda: self._enqueue(rows))
        return value

    def _enqueue(self, rows: dict[str, Tensor]) -> None:
        for name, row in rows.items():
            self.memories[name].enqueue(row.detach())

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Fill the memories from a batch of the dataloader, nothing else."""
        data = self.data_preprocessor(data, True)
        inputs = data['inputs']
        with evaluating(self.student):
            student = self._read_student(inputs)
        teacher = self.represent_teacher(data.get('teacher_inputs', inputs))
        for name, loss in self.losses.items():
            if hasattr(loss, 'remember'):
                edge = self._edges[name]
                self._enqueue(
                    loss.remember(
                        edge.select(0, self._read_student.numbers, student),
                        edge.select(1, self._read_teacher.numbers, teacher),
                    )
                )


@full_precision
def _in_full_precision(
    loss: nn.Module, student: Any, teacher: Any, needed: dict[str, Tensor]
) -> Tensor:
    """Also losses that do not see to it themselves run in float32."""
    return loss(student, teacher, **needed)


def _reads_student(loss: nn.Module) -> bool:
    return getattr(loss, 'reads_student', lambda: True)()
