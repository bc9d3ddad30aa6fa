from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.distillers.base import BaseDistiller, _build
from mmdistill.models.distillers.pair import as_list, check_dropout
from mmdistill.models.distillers.preprocessor import ViewsPreprocessor
from mmdistill.models.distillers.views import global_views, read_views
from mmdistill.models.memories import FeatureQueue
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    evaluating,
)
from mmdistill.ops import (
    after_backward,
    full_precision,
    l2_normalize,
    rank,
    world_size,
)
from mmdistill.registry import MODELS


@MODELS.register_module()
class OSS(BaseDistiller):
    """On-the-fly self-supervised distillation: SwAV teaches while it learns.

    A teacher clusters the images by swapped prediction; the student predicts
    the teacher's codes with the same prototypes:

        L = L_teacher + L_student + L_classifier.

    Codes come from the teacher's scores of the full crops, balanced together
    with a queue of earlier ones. ``dropout_views`` gives either network every
    crop a second time, through its head's dropout. A feature classifier that
    tells the two apart teaches both, by a reversed gradient, to be mistaken
    for each other. Without a teacher the student clusters by itself: SwAV.

    Paper: Choi et al., On-the-fly self-supervised distillation (seed
    003_807af9c198cb5496.txt), eqs. 1 to 7; Caron et al. (SwAV), NeurIPS 2020.

    Args:
        student: config of a `SelfSupervisedEncoder` with prototypes, which
            the teacher shares.
        teacher: config of a `SelfSupervisedEncoder` without prototypes, whose
            embedding is as wide; None for SwAV.
        clustering: config of a `SwappedPredictionLoss`; the paper sums over
            pairs of views, SwAV takes the mean.
        dropout_views: use the heads' dropout as further views (Drop).
        feature_classifier: config of a `FeatureClassifier` (Adv); its
            ``in_dim`` is filled in. None leaves it out.
        queue_size: rows kept of each of the two full crops; 0 for none. They
            take part once the queue is full; `QueueHook` delays them.
        prototype_norm: how prototypes keep the length 1. 'copy' sets their
            rows to it before every step and scores with them as they are,
            as SwAV's code; 'graph' divides within the graph, so that their
            gradient has no part along them.
        input_size: (C, H, W) of a full crop.
        data_preprocessor, init_cfg: as of `BaseDistiller`.
    Raises:
        ValueError: if the student has no prototypes, the embeddings differ in
            width, a head has no dropout to make views, a classifier has no
            teacher, or prototype_norm is unknown.
    Config:
        model=dict(type='OSS', student=..., teacher=...,
                   feature_classifier=dict(type='FeatureClassifier')),
        default_hooks=dict(queue=dict(type='QueueHook', start_epoch=15))
    """

    #: There are no labels to learn from.
    task_weight = 0.0
    own_losses = ('teacher', 'student', 'classifier')

    def __init__(
        self,
        student: dict | nn.Module,
        teacher: dict | nn.Module | None = None,
        clustering: dict | None = None,
        dropout_views: bool = True,
        feature_classifier: dict | None = None,
        queue_size: int = 3840,
        prototype_norm: str = 'copy',
        input_size: Sequence[int] = (3, 32, 32),
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if prototype_norm not in ('copy', 'graph'):
            raise ValueError(
                "model.prototype_norm is 'copy' (set to length 1 before each "
                "step) or 'graph' (divided in the graph), got "
                f'{prototype_norm!r}'
            )
        super().__init__(student, data_preprocessor, init_cfg)
        self.data_preprocessor = ViewsPreprocessor(self.data_preprocessor)
        self.teacher = None if teacher is None else _build(teacher)
        self._read_student = RepresentationReader(
            self.student, 'model.student'
        )
        self._read_teacher = None
        if self.teacher is not None:
            self._read_teacher = RepresentationReader(
                self.teacher, 'model.teacher'
            )
        width = self._check_widths(input_size)
        self.student.prototypes.divides = prototype_norm == 'graph'
        self.dropout_views = dropout_views
        if dropout_views:
            for name, model in self._models().items():
                check_dropout(model, name)
        self.losses['clustering'] = MODELS.build(
            {
                'type': 'SwappedPredictionLoss',
                'reduction': 'sum',
                **(clustering or {}),
            }
        )
        self.feature_classifier = None
        if feature_classifier is not None:
            if self.teacher is None:
                raise ValueError(
                    'model.feature_classifier tells teacher and student '
                    'apart, but model.teacher is None; leave it out'
                )
            self.feature_classifier = MODELS.build(
                {'in_dim': width, **feature_classifier}
            )
        self.memories = nn.ModuleDict()
        if queue_size:
            for name in ('first', 'second'):
                self.memories[name] = FeatureQueue(queue_size, width)

    def _models(self) -> dict[str, nn.Module]:
        """What learns, by its config key; the one that clusters first."""
        both = dict(teacher=self.teacher, student=self.student)
        return {name: m for name, m in both.items() if m is not None}

    def _check_widths(self, input_size: Sequence[int]) -> int:
        """The width of the embeddings, which the prototypes score."""
        prototypes = getattr(self.student, 'prototypes', None)
        if prototypes is None:
            raise ValueError(
                f'OSS clusters with the prototypes of model.student, but '
                f'{type(self.student).__name__} has none; give it '
                "prototypes=dict(type='PrototypeHead', num_prototypes=3000)"
            )
        if getattr(self.student, 'head', None) is None:
            raise ValueError(
                'OSS clusters the embedding of model.student; give it '
                "head=dict(type='ProjectionHead', ...)"
            )
        width = prototypes.weight.shape[1]
        if self.teacher is None:
            return width
        if getattr(self.teacher, 'prototypes', None) is not None:
            raise ValueError(
                'OSS shares the prototypes of model.student; leave '
                'prototypes out of model.teacher'
            )
        dry, _ = self._read_teacher.dry_run(input_size, False)
        got = None if dry.embedding is None else dry.embedding.shape[1]
        if got != width:
            raise ValueError(
                f"the teacher's embedding has width {got}, but the shared "
                f"prototypes take {width}, the student's; give both heads "
                'one out_dim'
            )
        self._read_teacher.prototypes = prototypes
        return width

    def loss(
        self,
        inputs: Sequence[Tensor],
        data_samples: list | None = None,
    ) -> dict[str, Tensor]:
        """L_teacher, L_student and L_classifier, those that there are.

        Args:
            inputs: views, each (N, C, H, W), two full crops first.
            data_samples: not looked at.
        """
        inputs = as_list(inputs)
        crops = global_views(inputs)
        if crops != 2:
            raise ValueError(
                f'OSS swaps the codes of two full crops, got {crops} of the '
                f'first size in {len(inputs)} views; use dict(type='
                "'MultiCrop', num_global=2, ...) in train_pipeline"
            )
        if self.training and not self.student.prototypes.divides:
            self.student.prototypes.set_unit_length()
        views = dict(student=self._views(self._read_student, inputs))
        if self.teacher is not None:
            views = dict(
                teacher=self._views(self._read_teacher, inputs), **views
            )
        clusters = next(iter(views.values()))[:crops]
        codes = self._codes(clusters)
        clustering = self.losses['clustering']
        losses = {
            name: clustering.predict([view.logits for view in seen], codes)
            for name, seen in views.items()
        }
        if self.feature_classifier is not None:
            losses['classifier'] = self._confuse(
                clusters, views['student'][:crops]
            )
        if self.training and self.memories:
            rows = [l2_normalize(view.embedding.detach()) for view in clusters]
            last = next(reversed(losses.values()))
            after_backward(last, lambda: self._enqueue(rows))
        return losses

    def _views(
        self, reader: RepresentationReader, inputs: Sequence[Tensor]
    ) -> list[Representation]:
        return read_views(reader, inputs, self.dropout_views)

    @torch.no_grad()
    def _codes(self, crops: Sequence[Representation]) -> list[Tensor]:
        """Of each full crop, with its queue if that is full."""
        queues = list(self.memories.values()) or [None] * len(crops)
        codes = []
        for view, queue in zip(crops, queues, strict=True):
            earlier = None
            if queue is not None and len(queue) == queue.size:
                # Every process scores its share: the codes are global.
                share = queue.features[rank() :: world_size()]
                earlier = self.student.prototypes(share)
            codes.append(self.losses['clustering'].codes(view.logits, earlier))
        return codes

    def _enqueue(self, rows: Sequence[Tensor]) -> None:
        for queue, row in zip(self.memories.values(), rows, strict=True):
            queue.enqueue(row)

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Put a batch's full crops into the queues, nothing else."""
        inputs = as_list(self.data_preprocessor(data, True)['inputs'])
        name, model = next(iter(self._models().items()))
        reader = dict(student=self._read_student, teacher=self._read_teacher)
        with evaluating(model):
            views = read_views(reader[name], inputs[:2])
        self._enqueue([l2_normalize(view.embedding) for view in views])

    @full_precision
    def _confuse(
        self,
        teacher: Sequence[Representation],
        student: Sequence[Representation],
    ) -> Tensor:
        """Eq. 7: the sum over the full crops, the mean over the samples."""
        loss = 0
        for label, crops in enumerate((teacher, student)):
            for view in crops:
                scores = self.feature_classifier(l2_normalize(view.embedding))
                target = scores.new_full((len(scores),), label).long()
                loss = loss + F.cross_entropy(scores, target)
        return loss
