from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdistill.models.distillers.base import _preprocessor
from mmdistill.models.distillers.pair import PairDistiller
from mmdistill.models.distillers.teacher import FrozenTeacher
from mmdistill.models.distillers.wiring import Side, remembers_student
from mmdistill.models.representation import RepresentationReader
from mmdistill.registry import MODELS


@MODELS.register_module()
class OfflineDistiller(FrozenTeacher, PairDistiller):
    """A student learns from a frozen teacher by any mixture of losses.

    total = task_weight * task + sum of the losses; each is logged under its
    name. Every loss sees both models' representations of the same images, in
    float32, from one forward pass a model and size of view; the teacher sees
    global views only (see `PairDistiller`). Samples labelled -1 count for
    every loss but the task's.

    The teacher is not a submodule, see `FrozenTeacher`.

    Args:
        student, teacher: MMPretrain classifiers or `SelfSupervisedEncoder`,
            as configs.
        losses: name to loss config; widths are filled in.
        teacher_ckpt: the teacher's weights. Needed for training only: a file
            that is not there is an error when training starts.
        task_weight: factor on the student's own loss; 0 leaves it out, and
            labels then are not needed. With it, a head with ``cal_acc=True``
            logs its accuracy on the labelled training images, in percent.
        memories: name to memory config, for losses that need one.
        data_preprocessor: of the images; the student's when None.
        teacher_preprocessor: of the teacher's images; shared when None. With
            one, the pipeline may give the teacher images of its own
            (`TeacherView`): privileged information.
        teacher_prototypes: 'old' scores the teacher's embedding with its own
            prototypes; 'new' with a copy of the student's,
            ``teacher_prototypes``, which `MomentumUpdateHook` with momentum 0
            renews at every step (ProtoCPC, Table 9).
        memory_encoder: who fills the memories of a student's rows: 'student',
            or 'slow_student', a momentum copy of it that a
            `MomentumUpdateHook` moves (CompRess with two queues). The copy's
            batch norms take the batch's statistics, its dropout is off.
        dropout_views: see `PairDistiller`.
        input_size: (C, H, W) of the images, for the dry run that finds out
            widths.
        teacher_input_size: the same of the teacher's, if it differs.
        init_cfg: MMEngine's initialisation config.
    Raises:
        KeyError, ValueError: when a loss lacks what it needs, or no memory
            keeps anything of a slow student.
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
        teacher_prototypes: str = 'old',
        memory_encoder: str = 'student',
        dropout_views: bool = False,
        input_size: Sequence[int] = (3, 32, 32),
        teacher_input_size: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if teacher_preprocessor is not None:
            teacher_preprocessor = _preprocessor(teacher_preprocessor)
        super().__init__(
            student,
            data_preprocessor,
            teacher_preprocessor,
            task_weight,
            dropout_views,
            init_cfg,
        )
        if teacher_prototypes not in ('old', 'new'):
            raise ValueError(
                "model.teacher_prototypes is 'old' (the teacher's own) or "
                f"'new' (the student's), got {teacher_prototypes!r}"
            )
        if memory_encoder not in ('student', 'slow_student'):
            raise ValueError(
                "model.memory_encoder is 'student' or 'slow_student' (its "
                f'momentum copy), got {memory_encoder!r}'
            )
        if teacher_prototypes == 'new' and 'prototypes' in teacher:
            teacher = {**teacher, 'prototypes': None}
        self._take_teacher(teacher, teacher_ckpt)
        self._read_student = RepresentationReader(
            self.student, 'model.student'
        )
        self._read_teacher = RepresentationReader(
            self.teacher, 'model.teacher'
        )
        if teacher_prototypes == 'new':
            self._share_prototypes(teacher_input_size or input_size)
        sides = self._wire(
            losses, memories or {}, input_size, teacher_input_size
        )
        if memory_encoder == 'slow_student':
            self._copy_student(*sides)

    def _copy_student(self, student: Side, teacher: Side) -> None:
        """Let memories keep what a momentum copy of the student says."""
        if not any(
            remembers_student(loss, self._edges[name], student, teacher)
            for name, loss in self.losses.items()
        ):
            raise ValueError(
                "model.memory_encoder='slow_student' fills memories with a "
                "copy's representations, but no loss of "
                f'{sorted(self.losses)} keeps any of the student; set it to '
                "'student', or use CompRessLoss with queues=2"
            )
        # With its model, and with what the dry run found out about that.
        self._read_slow_student = copy.deepcopy(self._read_student)
        self.slow_student = self._read_slow_student.model
        self.slow_student.requires_grad_(False)
        self.momentum_copies = (*self.momentum_copies, 'slow_student')
        # init_weights passes it by: the hook copies what the student has.
        self.slow_student._is_init = True

    def train(self, mode: bool = True) -> nn.Module:
        """Training mode; of a slow student only the batch norms are in it."""
        super().train(mode)
        if self._read_slow_student is not None:
            for module in self.slow_student.modules():
                if not isinstance(module, _BatchNorm):
                    module.training = False  # eval() reaches the norms inside
        return self

    def _share_prototypes(self, input_size: Sequence[int]) -> None:
        prototypes = getattr(self.student, 'prototypes', None)
        if prototypes is None:
            raise ValueError(
                "model.teacher_prototypes='new' takes the student's, but "
                f'model.student ({type(self.student).__name__}) has none; '
                "give it prototypes=dict(type='PrototypeHead', ...)"
            )
        dry, _ = self._read_teacher.dry_run(input_size, False)
        got = None if dry.embedding is None else dry.embedding.shape[1]
        width = prototypes.weight.shape[1]
        if got != width:
            raise ValueError(
                "model.teacher_prototypes='new' scores the teacher's "
                f"embedding, of width {got}, with the student's prototypes, "
                f"of width {width}; give model.student.head the teacher's "
                'out_dim'
            )
        self.teacher_prototypes = copy.deepcopy(prototypes)
        self.teacher_prototypes.requires_grad_(False)
        self.momentum_copies = (*self.momentum_copies, 'teacher_prototypes')
        # init_weights passes it by: the hook copies what the student has.
        self.teacher_prototypes._is_init = True
        self._read_teacher.prototypes = self.teacher_prototypes

    # One step ---------------------------------------------------------------
    def set_stage(self, stage: int) -> None:
        """Be in stage 1 or 2 of a method that has two (`StagedTrainLoop`)."""
        self.stage = stage
        for loss in self.losses.values():
            if hasattr(loss, 'stage'):
                loss.stage = stage
        before = {
            getattr(loss, 'pre_activation', False)
            for loss in self._active().values()
        }
        for reader in (self._read_student, self._read_teacher):
            reader.pre_activation = before == {True}
