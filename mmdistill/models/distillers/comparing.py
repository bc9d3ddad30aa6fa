from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.adapted_images import AdaptedImages
from mmdistill.models.distillers.base_distiller import (
    TASK,
    BaseDistiller,
)
from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.models.distillers.logging_model import TOTAL
from mmdistill.models.distillers.loss_builder import (
    LossInputs,
    build_loss,
    wants_maps,
)
from mmdistill.models.distillers.preprocessor import (
    TargetsPreprocessor,
    ViewsPreprocessor,
)
from mmdistill.models.distillers.views import global_views, read_views
from mmdistill.models.losses.distill_loss import DistillLoss, Phase
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.models.memories import FeatureQueue
from mmdistill.models.parts import dropout_of_head
from mmdistill.models.probing import evaluating
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.models.zoo import ModelInfo

#: Several views of a batch, as one model sees them.
Views = Sequence[Representation]


class ComparingDistiller(BaseDistiller):
    """A student that any mixture of losses compares with targets.

    total = task_weight * task + sum of the losses; each is logged under its
    name. Every loss sees the representations of the same images, in float32,
    from one forward pass a model and size of view. A target sees the global
    views only, those as large as the first, unless it says otherwise.

    Losses that take several views get a list of them, global ones first; the
    others, and the task, compare the first view of each.

    A scheme adds its targets and calls `_build_losses`.

    Args:
        student, data_preprocessor, task_weight, init_cfg: as of
            `BaseDistiller`.
        target_preprocessors: of targets that want images of their own, by
            name, or what a named one wants of them; the others share the
            student's.
        dropout_views: the student's head gives every view a second time, with
            its dropout, as a further view (OSS, section 3.2).
    """

    def __init__(
        self,
        student: dict | nn.Module,
        data_preprocessor: dict | nn.Module | None = None,
        task_weight: float = 0.0,
        target_preprocessors: Mapping[str, nn.Module | ModelInfo]
        | None = None,
        dropout_views: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(student, data_preprocessor, task_weight, init_cfg)
        single = self.data_preprocessor
        if target_preprocessors:
            own = {
                name: AdaptedImages(wanted, single)
                if isinstance(wanted, ModelInfo)
                else wanted
                for name, wanted in target_preprocessors.items()
            }
            single = TargetsPreprocessor(single, own)
        self.data_preprocessor = ViewsPreprocessor(single)
        self.dropout_views = dropout_views
        if dropout_views:
            check_dropout(self.student, 'student')
        #: Reads the student, as each target's ``reader`` does the target.
        self.student_reader = RepresentationReader(
            self.student, 'model.student'
        )
        self._inputs: dict[str, LossInputs] = {}

    def _build_losses(
        self, losses: Mapping[str, Any], input_size: Sequence[int]
    ) -> None:
        """Build losses that fit what the student and the targets give.

        Args:
            losses: name to config; None leaves one out.
            input_size: (C, H, W) of the student's images.
        """
        losses = {k: cfg for k, cfg in losses.items() if cfg is not None}
        self._check_names(losses)
        with_maps = wants_maps(losses)
        student = Endpoint(
            'student', self.student_reader, input_size, with_maps
        )
        targets = {
            name: Endpoint(name, target.reader, target.input_size, with_maps)
            for name, target in self.targets.items()
        }
        for name, cfg in losses.items():
            self.losses[name], self._inputs[name] = build_loss(
                name, cfg, student, targets
            )
        for loss in self.losses.values():
            loss.connect(self.losses)
        self._check_phases()
        for end in (student, *targets.values()):
            wanted = (i.maps.get(end.name, ()) for i in self._inputs.values())
            end.reader.numbers = tuple(sorted({n for m in wanted for n in m}))

    def _check_phases(self) -> None:
        """Raise if losses have a warm-up, which the scheme does not have."""
        names = [
            name
            for name, loss in self.losses.items()
            if Phase.WARMUP in loss.phases
        ]
        if names:
            raise ValueError(
                f'{type(self).__name__} has no warm-up phase, which losses '
                f'{names} need; use them in an OfflineDistiller'
            )

    def _check_names(self, losses: Mapping[str, Any]) -> None:
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
        **own_inputs: Tensor | Sequence[Tensor],
    ) -> dict[str, Tensor]:
        """Every loss by its name, the task's first.

        Args:
            inputs: (N, C, H, W) images of the student, or a list of views,
                global ones first.
            data_samples: N samples with labels and indices.
            own_inputs: the same of targets with images of their own, as
                ``<name>_inputs``.
        """
        views = as_list(inputs)
        fields = self.batch_fields(data_samples, views[0].device)
        active = self.active_losses()
        student = None
        if self._learns_task() or any(
            loss.reads_student() for loss in active.values()
        ):
            student = read_views(
                self.student_reader, views, self.dropout_views
            )
        seen = self.read_targets(views, own_inputs)
        losses = {}
        if self._learns_task():
            task = self.task_loss(student[0], data_samples, fields)
            losses[TASK] = self.task_weight * task
        for name in active:
            losses[name] = self.compare(name, student, seen, fields)
        return losses

    def active_losses(self) -> Mapping[str, DistillLoss]:
        """The losses that count now; a scheme with two phases says which."""
        return self.losses

    def _learns_task(self) -> bool:
        return bool(self.task_weight)

    @torch.no_grad()
    def read_targets(
        self,
        views: Sequence[Tensor],
        own_inputs: Mapping[str, Tensor | Sequence[Tensor]],
    ) -> dict[str, Views]:
        """What each target says of a batch.

        Args:
            views: the student's.
            own_inputs: see `loss`.
        """
        seen = {}
        for name, target in self.targets.items():
            own = as_list(own_inputs.get(f'{name}_inputs', views))
            target.prepare()
            count = len(own) if target.all_views else global_views(own)
            seen[name] = read_views(target.reader, own[:count])
        return seen

    def compare(
        self,
        name: str,
        student: Views | None,
        seen: Mapping[str, Views],
        fields: Mapping[str, Tensor],
    ) -> Tensor:
        """One loss of the student against its target.

        Args:
            name: of the loss.
            student: what the student says, or None if it was not asked.
            seen: what the targets say.
            fields: of the batch.
        """
        loss, inputs = self.losses[name], self._inputs[name]
        views = {inputs.target: seen[inputs.target]}
        if loss.reads_student():
            views = {'student': student, **views}
        several = loss.multi_view and any(len(v) > 1 for v in views.values())

        def of(model: str, views: Views) -> Any:
            reader = self._reader(model)
            values = [
                inputs.of(model, reader.numbers, view)
                for view in views[: None if several else 1]
            ]
            return values if several else values[0]

        further = {
            argument: of(target, seen[target])
            for argument, target in inputs.further.items()
        }
        value = loss(
            of('student', views['student']) if 'student' in views else None,
            of(inputs.target, views[inputs.target]),
            **further,
            **self.required(name, loss, fields),
        )
        return self.counted(name, value)

    def _reader(self, name: str) -> RepresentationReader:
        if name == 'student':
            return self.student_reader
        return self.targets[name].reader

    def losses_on_scores_of(self, target: str) -> list[str]:
        """Names of the losses that compare a target's class scores."""
        return [
            name
            for name in self._losses_of('logits')
            if target in self._inputs[name].models
        ]

    def losses_with(self, target: str) -> list[str]:
        """Names of the losses with a weight that look at a target."""
        return [
            name
            for name, inputs in self._inputs.items()
            if target in inputs.models and self.losses[name].loss_weight
        ]

    def _models_of(self, names: Iterable[str]) -> set[str]:
        """Names of the targets that some losses look at."""
        return {m for name in names for m in self._inputs[name].models}

    def _losses_of(self, level: str) -> list[str]:
        return [k for k, i in self._inputs.items() if i.level == level]

    # The run ----------------------------------------------------------------
    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Fill the queues from a batch of the dataloader, nothing else."""
        data = self.data_preprocessor(data, True)
        views = as_list(data['inputs'])
        with evaluating(self):
            student = read_views(self.student_reader, views)
            seen = self.read_targets(views, data)
        fields = self.batch_fields(data['data_samples'], views[0].device)
        for name in self._inputs:
            parts = self.losses[name].modules()
            if any(isinstance(part, FeatureQueue) for part in parts):
                self.compare(name, student, seen, fields)


def check_dropout(model: nn.Module, name: str) -> None:
    """Raise if a model's head has no dropout to make further views with."""
    if not dropout_of_head(model):
        raise ValueError(
            f'dropout_views takes views from the dropout of model.{name}.head,'
            ' which has none; give it dropout=(0.1, 0.05), or set '
            'model.dropout_views=False'
        )
