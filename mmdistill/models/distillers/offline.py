from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdistill.models.distillers.base_distiller import (
    build_model,
    build_preprocessor,
)
from mmdistill.models.distillers.comparing import ComparingDistiller
from mmdistill.models.distillers.first_edition import own_memories
from mmdistill.models.distillers.named_teacher import (
    complete_entry,
    image_size,
)
from mmdistill.models.distillers.target import Role, Target, teacher_entries
from mmdistill.models.losses.distill_loss import DistillLoss, Phase
from mmdistill.models.parts import prototypes_of
from mmdistill.models.zoo import ModelInfo
from mmdistill.registry import MODELS


@MODELS.register_module()
class OfflineDistiller(ComparingDistiller):
    """A student learns from frozen teachers by any mixture of losses.

    total = task_weight * task + sum of the losses; each is logged under its
    name. Every loss sees both models' representations of the same images, in
    float32, from one forward pass a model and size of view; teachers see
    global views only (see `ComparingDistiller`). Samples labeled -1 count for
    every loss but the task's.

    Teachers are not submodules, see `BaseDistiller`.

    Args:
        student: MMPretrain classifier or `SelfSupervisedEncoder`, as a config
            or by name, see `resolve_model`.
        teacher: the same; the short form of ``teachers`` for one teacher. By
            name it brings its published weights and the size, mean and
            deviation of its images.
        losses: name to loss config; widths are filled in.
        teacher_ckpt: the teacher's weights. Needed for training only: a file
            that is not there is an error when training starts.
        teachers: name to ``dict(model=..., ckpt=..., preprocessor=...,
            input_size=..., classes=...)``, of which ``model`` alone must be
            there. A loss says which it takes: ``target='name'``.
        slow_student: have a momentum copy of the student as a further target,
            which a `MomentumUpdateHook` moves and losses name
            'slow_student'. It sees all views; its batch norms take the
            batch's statistics, its dropout is off.
        task_weight: factor on the student's own loss; 0 leaves it out, and
            labels then are not needed. With it, a head with ``cal_acc=True``
            logs its accuracy on the labeled training images, in percent.
        data_preprocessor: of the images; the student's when None.
        teacher_preprocessor: of the teacher's images; shared when None. With
            one, the pipeline may give the teacher images of its own
            (`TeacherView`): privileged information.
        teacher_prototypes: 'old' scores the teacher's embedding with its own
            prototypes; 'new' with a copy of the student's,
            ``teacher_prototypes``, which `MomentumUpdateHook` with momentum 0
            renews at every step (ProtoCPC, Table 9).
        dropout_views: see `ComparingDistiller`.
        input_size: (C, H, W) of the images, for the dry run that finds out
            widths; by default those of a student by name, else (3, 32, 32).
        teacher_input_size: the same of the teacher's, if it differs.
        teacher_classes: numbers of the teacher's classes that are the
            student's, in the student's order; all when None.
        memories, memory_encoder: of the first edition; see UPGRADING.md.
        init_cfg: MMEngine's initialization config.
    Raises:
        KeyError, ValueError: when a loss lacks what it needs, or no loss
            looks at the slow student.
        CheckpointError: when a teacher's file does not fit.
    Config:
        model=dict(type='OfflineDistiller', student=..., teacher=...,
                   teacher_ckpt='teacher.pth',
                   losses=dict(kd=dict(type='KDLoss')))
    """

    def __init__(
        self,
        student: str | dict | nn.Module,
        teacher: str | dict | nn.Module | None = None,
        losses: dict[str, dict] | None = None,
        teacher_ckpt: str | None = None,
        teachers: Mapping[str, dict] | None = None,
        slow_student: bool = False,
        task_weight: float = 1.0,
        data_preprocessor: dict | nn.Module | None = None,
        teacher_preprocessor: dict | nn.Module | None = None,
        teacher_prototypes: str = 'old',
        dropout_views: bool = False,
        input_size: Sequence[int] | None = None,
        teacher_input_size: Sequence[int] | None = None,
        teacher_classes: Sequence[int] | None = None,
        memories: dict[str, dict] | None = None,
        memory_encoder: str | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if teacher_prototypes not in ('old', 'new'):
            raise ValueError(
                "model.teacher_prototypes is 'old' (the teacher's own) or "
                f"'new' (the student's), got {teacher_prototypes!r}"
            )
        losses, slow_student = own_memories(
            losses or {}, memories, memory_encoder, slow_student
        )
        entries = teacher_entries(
            teachers,
            model=teacher,
            ckpt=teacher_ckpt,
            preprocessor=teacher_preprocessor,
            input_size=teacher_input_size,
            classes=teacher_classes,
        )
        entries = {k: complete_entry(entry) for k, entry in entries.items()}
        input_size = image_size(input_size, student)
        super().__init__(
            student,
            data_preprocessor,
            task_weight,
            {
                name: wanted
                if isinstance(wanted, ModelInfo)
                else build_preprocessor(wanted)
                for name, entry in entries.items()
                if (wanted := entry.get('preprocessor')) is not None
            },
            dropout_views,
            init_cfg,
        )
        self.phase = Phase.MAIN
        for name, entry in entries.items():
            self._add_teacher(name, entry, input_size, teacher_prototypes)
        if slow_student:
            self._add_slow_student(input_size)
        self._build_losses(losses, input_size)
        if slow_student and not any(
            'slow_student' in inputs.models for inputs in self._inputs.values()
        ):
            raise ValueError(
                'model.slow_student=True makes a momentum copy, but no loss '
                f"of {sorted(self.losses)} looks at it; set a loss's target="
                "'slow_student', or CompRessLoss's rows_of='slow_student'"
            )

    def _add_teacher(
        self,
        name: str,
        entry: Mapping[str, Any],
        input_size: Sequence[int],
        prototypes: str,
    ) -> None:
        model = entry['model']
        built = isinstance(model, nn.Module)
        if prototypes == 'new' and not built and 'prototypes' in model:
            model = {**model, 'prototypes': None}
        target = self.add_target(
            Target(
                name,
                build_model(model),
                Role.FROZEN,
                entry.get('input_size') or input_size,
                entry.get('ckpt'),
                setting=entry['setting'],
                setting_ckpt=entry['setting_ckpt'],
                setting_preprocessor=entry['setting_preprocessor'],
                chosen=entry.get('classes'),
            )
        )
        if prototypes == 'new':
            self._share_prototypes(target)

    def _add_slow_student(self, input_size: Sequence[int]) -> None:
        # With its model, and with what the dry run finds out about that.
        reader = copy.deepcopy(self.student_reader)
        reader.model.requires_grad_(False)
        # Mark it as initialized so that init_weights() skips it:
        # MomentumUpdateHook copies the student before the first step.
        reader.model._is_init = True
        self.add_target(
            Target(
                'slow_student',
                reader.model,
                Role.MOVED,
                input_size,
                setting='model.student',
                all_views=True,
                reader=reader,
            )
        )
        self.momentum_copies = (*self.momentum_copies, 'slow_student')

    def _share_prototypes(self, teacher: Target) -> None:
        prototypes = prototypes_of(self.student)
        if prototypes is None:
            raise ValueError(
                "model.teacher_prototypes='new' takes the student's, but "
                f'model.student ({type(self.student).__name__}) has none; '
                "give it prototypes=dict(type='PrototypeHead', ...)"
            )
        dry, _ = teacher.reader.dry_run(teacher.input_size, False)
        got = None if dry.embedding is None else dry.embedding.shape[1]
        width = prototypes.weight.shape[1]
        if got != width:
            raise ValueError(
                "model.teacher_prototypes='new' scores the teacher's "
                f"embedding, of width {got}, with the student's prototypes, "
                f"of width {width}; give model.student.head the teacher's "
                'out_dim'
            )
        if 'teacher_prototypes' not in self.momentum_copies:
            copied = copy.deepcopy(prototypes).requires_grad_(False)
            # Initialized as the slow student is, by the hook.
            copied._is_init = True
            self.teacher_prototypes = copied
            self.momentum_copies += ('teacher_prototypes',)
        teacher.reader.prototypes = self.teacher_prototypes

    def train(self, mode: bool = True) -> nn.Module:
        """Training mode; of a slow student only the batch norms are in it."""
        super().train(mode)
        if 'slow_student' in self.targets:
            for module in self.slow_student.modules():
                if not isinstance(module, _BatchNorm):
                    module.training = False  # eval() reaches the norms inside
        return self

    # Phases -----------------------------------------------------------------
    def set_phase(self, phase: Phase) -> None:
        """Switch to the warm-up or the main phase (`TwoPhaseTrainLoop`)."""
        self.phase = Phase(phase)
        for loss in self.losses.values():
            loss.phase = self.phase
        active = self.active_losses().values()
        before = {loss.pre_activation for loss in active}
        readers = [t.reader for t in self.targets.values()]
        for reader in (self.student_reader, *readers):
            reader.pre_activation = before == {True}

    def _check_phases(self) -> None:
        """Raise if warm-ups want maps before and after the activation."""
        first = {
            name: loss.pre_activation
            for name, loss in self.losses.items()
            if Phase.WARMUP in loss.phases
        }
        if len(set(first.values())) > 1:
            before = [name for name, wanted in first.items() if wanted]
            raise ValueError(
                f'losses {before} compare maps from before the activation in '
                f'the warm-up and {sorted(set(first) - set(before))} from '
                'behind it; one pass cannot give both, use them in two runs'
            )

    def active_losses(self) -> dict[str, DistillLoss]:
        """The losses that count in the present phase."""
        return {
            name: loss
            for name, loss in self.losses.items()
            if self.phase in loss.phases
        }

    def _learns_task(self) -> bool:
        return bool(self.task_weight) and self.phase == Phase.MAIN
