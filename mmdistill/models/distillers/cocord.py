from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.models.distillers.base_distiller import TASK
from mmdistill.models.distillers.comparing import ComparingDistiller, Views
from mmdistill.models.distillers.first_edition import cocord_losses
from mmdistill.models.distillers.offline import OfflineDistiller
from mmdistill.models.distillers.projection import add_heads
from mmdistill.models.distillers.views import two_views
from mmdistill.registry import MODELS


@MODELS.register_module()
class CoCoRD(OfflineDistiller):
    """Contrastive Consistent Representation Distillation.

    From two views x, x' of an image::

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

    Losses of other levels, and then the task too, look at one view, since in
    the benchmark all losses see the same image: at the second, which the
    teacher sees anyway, or at the first if the student sees no other.

    Paper: Fu et al., Contrastive Consistent Representation Distillation, BMVC
    2023, https://openreview.net/forum?id=NSMlX2F21C7, section 3, Fig. 2.

    Args:
        student, teacher: as of `OfflineDistiller`.
        losses: name to loss config. The paper's are an `InfoNCELoss`, and a
            `PredictionLoss` of the slow student with a predictor. Table 5
            swaps their targets, its options E and F leave one out.
        head: config of the projection heads, whose layers are our choice.
        symmetric: predict in both directions; one only on ImageNet.
        kwargs: as of `OfflineDistiller`. With ``task_weight=0`` (Table 7) the
            classifier learns nothing: judge the features (`LinearProbe`).
    Raises:
        ValueError: as of `OfflineDistiller`, or without two views.
    Config:
        model=dict(type='CoCoRD', student=..., teacher=..., losses=dict(
            contrastive=dict(type='InfoNCELoss'),
            prediction=dict(type='PredictionLoss', target='slow_student')))
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
        if self.dropout_views:
            raise ValueError('CoCoRD has no dropout_views; leave it out')
        #: Losses that compare embeddings across views, and all others.
        self._across = self._losses_of(level='embedding')
        self._on_one_view = [k for k in self.losses if k not in self._across]
        both = self._models_of(
            name for name in self._across if self.losses[name].multi_view
        )
        self.symmetric = symmetric and bool(both)
        if not self.symmetric:
            both = self._models_of(self._on_one_view)
        used = [t for t in self.targets if t in self._models_of(self.losses)]
        #: How many of the views each target sees.
        self._num_views = {t: 1 + (t in both) for t in used}

    def _build_losses(
        self, losses: Mapping[str, Any], input_size: Sequence[int]
    ) -> None:
        self._add_slow_student(input_size)
        self.frozen_copies = add_heads(self, self._head, input_size)
        self.put_losses_last()
        super()._build_losses(losses, input_size)

    # It has no warm-up, and its slow student keeps its dropout on.
    _check_phases = ComparingDistiller._check_phases
    train = ComparingDistiller.train

    def loss(
        self,
        inputs: list[Tensor],
        data_samples: list | None = None,
        **own_inputs: list[Tensor],
    ) -> dict[str, Tensor]:
        """Every loss by its name, of two views (N, C, H, W) of N images."""
        views = two_views(inputs, 'CoCoRD')
        fields = self.batch_fields(data_samples, views[0].device)
        student = self.student_reader.views(views[: 1 + self.symmetric])
        seen = self.read_targets(views, own_inputs)
        losses = {}
        if self.task_weight:
            image = student[-1 if self._on_one_view else 0]
            task = self.task_loss(image, data_samples, fields)
            losses[TASK] = self.task_weight * task
        for name in self._across:
            losses[name] = self.compare(name, student, seen, fields)
        # A target's first view is the student's second.
        on_one = {k: [v[0 if self.symmetric else -1]] for k, v in seen.items()}
        for name in self._on_one_view:
            losses[name] = self.compare(name, student[-1:], on_one, fields)
        return losses

    @torch.no_grad()
    def read_targets(
        self,
        views: Sequence[Tensor],
        own_inputs: Mapping[str, Sequence[Tensor]],
    ) -> dict[str, Views]:
        """What each target says of the second view, and of the first."""
        seen = {}
        for name, count in self._num_views.items():
            first, second = own_inputs.get(f'{name}_inputs', views)
            target = self.targets[name]
            target.prepare()
            seen[name] = target.reader.views([second, first][:count])
        return seen
