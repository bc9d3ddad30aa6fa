from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdistill.models.distillers.base import TASK
from mmdistill.models.distillers.comparing import Views
from mmdistill.models.distillers.first_edition import cocord_losses
from mmdistill.models.distillers.loss_builder import refuse_warmup
from mmdistill.models.distillers.offline import OfflineDistiller
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    evaluating,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class CoCoRD(OfflineDistiller):
    """Contrastive Consistent Representation Distillation.

    From two views x, x' of an image,

        q = head(student(x)),  k = teacher_head(teacher(x')),
        p = predictor(q),      s = slow_head(slow_student(x')),
        total = contrastive(q, k, dictionary of earlier k)
                + prediction(p, s) + prediction(p', s') + task(x).

    Losses of level 'embedding' compare what the heads give: view i of the
    student with view i of a target, which sees the two in the opposite order.
    The slow student and its head are momentum copies of the student and its
    head, the teacher's head one of the student's head: `MomentumUpdateHook`
    moves them. Where the two features differ in width, the teacher's head is
    random and stays so (m_c = 1 in the paper). Both views of a network go
    through it in one batch.

    Losses of other levels, and then the task too, look at one view, as in the
    benchmark, where all losses see the same image: at the second, which the
    teacher sees anyway, and with ``symmetric=False``, where the student sees
    only the first, at the first.

    Paper: Fu et al., Contrastive Consistent Representation Distillation, BMVC
    2023, https://openreview.net/forum?id=NSMlX2F21C7, section 3, Fig. 2. The
    heads' layers are our choice.

    Args:
        student, teacher: as of `OfflineDistiller`.
        losses: name to loss config. The paper's are ``contrastive``, an
            `InfoNCELoss`, and ``prediction``, a `PredictionLoss` with
            ``target='slow_student'`` and a predictor. Table 5 swaps their
            targets, its options E and F leave one out.
        head: config of the projection heads; widths are filled in.
        symmetric: predict in both directions; one only on ImageNet.
        kwargs: as of `OfflineDistiller`. With ``task_weight=0`` (lambda_cls of
            Table 7) the student's classifier learns nothing: judge the
            features (`LinearProbe`).
    Raises:
        ValueError: as of `OfflineDistiller`, and for batches without two
            views.
    Config:
        model=dict(type='CoCoRD', student=..., teacher=..., losses=dict(
            contrastive=dict(type='InfoNCELoss', queue_size=2048),
            prediction=dict(
                type='PredictionLoss', target='slow_student',
                predictor=dict(type='PredictorHead'), loss_weight=4.0)))
    """

    momentum_copies = ('teacher_head', 'slow_student', 'slow_head')

    def __init__(
        self,
        student: dict,
        teacher: dict,
        losses: dict[str, dict] | None = None,
        head: dict | None = None,
        symmetric: bool = True,
        **kwargs: Any,
    ) -> None:
        self._head = head or dict(type='ProjectionHead', out_dim=128)
        losses, kwargs = cocord_losses(losses, kwargs)
        super().__init__(student, teacher, losses, **kwargs)
        refuse_warmup(self.losses, 'CoCoRD')
        across = {
            name: inputs
            for name, inputs in self._inputs.items()
            if inputs.level == 'embedding'
        }
        #: Losses that compare embeddings across views, and all others.
        self._across = tuple(across)
        self._on_one_view = tuple(k for k in self.losses if k not in across)
        predicted = {
            inputs.target
            for name, inputs in across.items()
            if self.losses[name].multi_view
        }
        self.symmetric = symmetric and bool(predicted)
        #: How many of the views each target sees.
        self._num_views = {
            inputs.target: 1 + (self.symmetric and inputs.target in predicted)
            for inputs in across.values()
        }
        if self._on_one_view:
            seen = self._num_views.get('teacher', 1)
            self._num_views['teacher'] = max(seen, 2 - self.symmetric)
        self._warn_if_untaught()

    def _build_losses(
        self, losses: Mapping[str, Any], input_size: Sequence[int]
    ) -> None:
        self._add_slow_student(input_size)
        teacher = self.targets['teacher']
        widths = [
            reader.dry_run(size, False)[0].feature.shape[1]
            for reader, size in (
                (self._read_student, input_size),
                (teacher.reader, teacher.input_size),
            )
        ]
        self.student_head = MODELS.build({'in_dim': widths[0], **self._head})
        if widths[0] == widths[1]:
            self.teacher_head = copy.deepcopy(self.student_head)
        else:
            self.teacher_head = MODELS.build(
                {'in_dim': widths[1], **self._head}
            )
            self.frozen_copies = ('teacher_head',)
        self.slow_head = copy.deepcopy(self.student_head)
        for copied in (self.teacher_head, self.slow_head):
            copied.requires_grad_(False)
        self._read_student = _HeadedReader(
            self.student, 'model.student', self.student_head
        )
        for name, head in (
            ('teacher', self.teacher_head),
            ('slow_student', self.slow_head),
        ):
            target = self.targets[name]
            target.reader = _HeadedReader(target.model, target.setting, head)
        self.put_losses_last()
        super()._build_losses(losses, input_size)

    def train(self, mode: bool = True) -> nn.Module:
        """Training mode, of the slow student too: its dropout is on."""
        return super(OfflineDistiller, self).train(mode)

    def _warn_if_untaught(self) -> None:
        taught = any(
            inputs.target == 'teacher' and self.losses[name].loss_weight
            for name, inputs in self._inputs.items()
        )
        if not taught and not self.task_weight:
            print_log(
                'nothing of the teacher, and no label, reaches the student of '
                'CoCoRD: it only learns to agree with its slow copy. Give '
                'some loss the teacher as its target, with a weight above 0, '
                'or set model.task_weight',
                logger='current',
                level=logging.WARNING,
            )

    def loss(
        self,
        inputs: list[Tensor],
        data_samples: list | None = None,
        teacher_inputs: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Every loss by its name.

        Args:
            inputs: two views, each (N, C, H, W).
            data_samples: N samples.
            teacher_inputs: two views for the teacher, if they differ.
        """
        views = _two_views(inputs)
        fields = self.batch_fields(data_samples, views[0].device)
        student = self._read_student.views(views[: 1 + self.symmetric])
        seen = self.read_targets(views, dict(teacher_inputs=teacher_inputs))
        losses = {}
        if self.task_weight:
            # On the image that losses of other levels see, too.
            last = student[-1 if self._on_one_view else 0]
            task = self.task_loss(last, data_samples, fields)
            losses[TASK] = self.task_weight * task
        for name in self._across:
            losses[name] = self.compare(name, student, seen, fields)
        if self._on_one_view:
            # The first of the teacher's views is the student's second.
            same = seen['teacher'][0 if self.symmetric else -1]
            seen = {**seen, 'teacher': [same]}
        for name in self._on_one_view:
            losses[name] = self.compare(name, student[-1:], seen, fields)
        return losses

    @torch.no_grad()
    def read_targets(
        self,
        views: Sequence[Tensor],
        own_inputs: Mapping[str, Sequence[Tensor] | None],
    ) -> dict[str, Views]:
        """What each target says of the second view, and of the first."""
        seen = {}
        for name in self.targets:
            count = self._num_views.get(name, 0)
            if count:
                self.targets[name].prepare()
                own = own_inputs.get(f'{name}_inputs') or views
                reader = self.targets[name].reader
                seen[name] = reader.views([own[1], own[0]][:count])
        return seen

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Put a batch's keys into the dictionary, nothing else."""
        data = self.data_preprocessor(data, True)
        views = _two_views(data['inputs'])
        copies = nn.ModuleList(
            [self.slow_student, self.teacher_head, self.slow_head]
        )
        with evaluating(copies):
            seen = self.read_targets(views, data)
        fields = self.batch_fields(data['data_samples'], views[0].device)
        for name in self._across:
            target = seen[self._inputs[name].target]
            if not self.losses[name].multi_view:
                self.compare(name, target[:1], seen, fields)


class _HeadedReader(RepresentationReader):
    """Reads a model, with what a head makes of its feature as embedding."""

    def __init__(self, model: nn.Module, name: str, head: nn.Module) -> None:
        super().__init__(model, name)
        self.head = head

    def __call__(
        self, inputs: Tensor, projected: bool = True
    ) -> Representation:
        return self._embedded(super().__call__(inputs, projected))

    def views(self, views: Sequence[Tensor]) -> list[Representation]:
        """All views in one batch; the head sees one after the other."""
        seen = super().__call__(torch.cat(list(views)))
        return [self._embedded(view) for view in seen.split(len(views[0]))]

    def dry_run(self, *args: Any) -> tuple[Representation, dict]:
        with evaluating(self.head):
            return super().dry_run(*args)

    def _embedded(self, seen: Representation) -> Representation:
        return replace(seen, embedding=self.head(seen.feature))


def _two_views(inputs: Any) -> list[Tensor]:
    if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
        got = 1 if isinstance(inputs, Tensor) else len(inputs)
        raise ValueError(
            f'CoCoRD takes two views of every image, got {got}; use '
            "dict(type='MultiView', num_views=[2], transforms=[[...]]) in "
            'train_pipeline'
        )
    return list(inputs)
