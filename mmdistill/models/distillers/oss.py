from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.base_distiller import (
    BaseDistiller,
    build_model,
)
from mmdistill.models.distillers.comparing import check_dropout
from mmdistill.models.distillers.named_teacher import image_size
from mmdistill.models.distillers.preprocessor import ViewsPreprocessor
from mmdistill.models.distillers.target import Role, Target
from mmdistill.models.distillers.views import global_views, read_views
from mmdistill.models.losses.feature_confusion import FeatureConfusionLoss
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.models.parts import head_of, prototypes_of
from mmdistill.models.probing import evaluating
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.ops import l2_normalize
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

    Papers: Choi et al., Unsupervised Representation Transfer for Small
    Networks: I Believe I Can Distill On-the-Fly, NeurIPS 2021, eqs. 1 to 7;
    Caron et al., Unsupervised Learning of Visual Features by Contrasting
    Cluster Assignments (SwAV), NeurIPS 2020,
    https://arxiv.org/abs/2006.09882.

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

    own_losses = ('teacher', 'student')

    def __init__(
        self,
        student: dict | nn.Module,
        teacher: dict | nn.Module | None = None,
        clustering: dict | None = None,
        dropout_views: bool = True,
        feature_classifier: dict | None = None,
        queue_size: int = 3840,
        prototype_norm: str = 'copy',
        input_size: Sequence[int] | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if prototype_norm not in ('copy', 'graph'):
            raise ValueError(
                "model.prototype_norm is 'copy' (set to length 1 before each "
                "step) or 'graph' (divided in the graph), got "
                f'{prototype_norm!r}'
            )
        input_size = image_size(input_size, student)
        super().__init__(student, data_preprocessor, init_cfg=init_cfg)
        self.data_preprocessor = ViewsPreprocessor(self.data_preprocessor)
        #: Readers of what learns; the one that clusters first.
        self._readers = dict(
            student=RepresentationReader(self.student, 'model.student')
        )
        if teacher is None:
            self.teacher = None
        else:
            target = self.add_target(
                Target(
                    'teacher', build_model(teacher), Role.LEARNS, input_size
                )
            )
            self._readers = dict(teacher=target.reader, **self._readers)
        width = self._share_prototypes(input_size)
        self.student.prototypes.divides = prototype_norm == 'graph'
        self.dropout_views = dropout_views
        if dropout_views:
            for name, reader in self._readers.items():
                check_dropout(reader.model, name)
        self.put_losses_last()
        self.losses['clustering'] = MODELS.build(
            {
                'type': 'SwappedPredictionLoss',
                'reduction': 'sum',
                'queue_size': queue_size,
                'dim': width,
                **(clustering or {}),
            }
        )
        if feature_classifier is not None:
            if teacher is None:
                raise ValueError(
                    'model.feature_classifier tells teacher and student '
                    'apart, but model.teacher is None; leave it out'
                )
            self.losses['classifier'] = FeatureConfusionLoss(
                feature_classifier, width
            )

    def _share_prototypes(self, input_size: Sequence[int]) -> int:
        """Let the student's prototypes score both; the embeddings' width."""
        prototypes = prototypes_of(self.student)
        if prototypes is None:
            raise ValueError(
                f'OSS clusters with the prototypes of model.student, but '
                f'{type(self.student).__name__} has none; give it '
                "prototypes=dict(type='PrototypeHead', num_prototypes=3000)"
            )
        if head_of(self.student) is None:
            raise ValueError(
                'OSS clusters the embedding of model.student; give it '
                "head=dict(type='ProjectionHead', ...)"
            )
        width = prototypes.weight.shape[1]
        if self.teacher is None:
            return width
        if prototypes_of(self.teacher) is not None:
            raise ValueError(
                'OSS shares the prototypes of model.student; leave '
                'prototypes out of model.teacher'
            )
        reader = self._readers['teacher']
        dry, _ = reader.dry_run(input_size, False)
        got = None if dry.embedding is None else dry.embedding.shape[1]
        if got != width:
            raise ValueError(
                f"the teacher's embedding has width {got}, but the shared "
                f"prototypes take {width}, the student's; give both heads "
                'one out_dim'
            )
        reader.prototypes = prototypes
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
        prototypes = self.student.prototypes
        clustering = self.losses.clustering
        if self.training and not prototypes.divides:
            prototypes.set_unit_length()
        # The student first: its BatchNorm and dropout draw before.
        seen = {
            name: read_views(reader, inputs, self.dropout_views)
            for name, reader in reversed(self._readers.items())
        }
        seen = {name: seen[name] for name in self._readers}
        clusters = next(iter(seen.values()))[:crops]
        codes = clustering.codes_of(_logits(clusters), prototypes)
        losses = {
            name: clustering.predict(_logits(views), codes)
            for name, views in seen.items()
        }
        if 'classifier' in self.losses:
            losses['classifier'] = self.losses.classifier(
                _embeddings(seen['student'][:crops]), _embeddings(clusters)
            )
        last = next(reversed(losses.values()))
        clustering.remember(last, _embeddings(clusters))
        return losses

    @torch.no_grad()
    def prefill(self, data: dict) -> None:
        """Put a batch's full crops into the queues, nothing else."""
        inputs = as_list(self.data_preprocessor(data, True)['inputs'])
        reader = next(iter(self._readers.values()))
        with evaluating(reader.model):
            crops = _embeddings(read_views(reader, inputs[:2]))
        self.losses.clustering.enqueue([l2_normalize(crop) for crop in crops])


def _logits(views: Sequence[Representation]) -> list[Tensor]:
    return [view.logits for view in views]


def _embeddings(views: Sequence[Representation]) -> list[Tensor]:
    return [view.embedding for view in views]
