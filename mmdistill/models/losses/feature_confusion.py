from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.ops import add_up, l2_normalize
from mmdistill.registry import MODELS


@MODELS.register_module()
class FeatureConfusionLoss(DistillLoss):
    """Teach two networks to be mistaken for each other.

    A classifier tells the L2-normalized embeddings of both apart; its
    gradient reaches the networks reversed (`FeatureClassifier`). The loss is
    the sum over both and their views, the mean over the samples.

    Paper: Choi et al., Unsupervised Representation Transfer for Small
    Networks: I Believe I Can Distill On-the-Fly, NeurIPS 2021
    (https://proceedings.neurips.cc/paper/2021 is the volume), eq. 7.

    Args:
        classifier: config of a `FeatureClassifier`.
        dim: width of the embeddings; the distiller fills it in.
        loss_weight: factor on the loss.
    Shape:
        student, teacher: lists of (N, D), one for each full crop. Returns ().
    Config:
        model=dict(type='OSS', ...,
                   feature_classifier=dict(type='FeatureClassifier'))
    """

    level = 'embedding'
    multi_view = True

    def __init__(
        self, classifier: dict[str, Any], dim: int, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.classifier = MODELS.build({'in_dim': dim, **classifier})

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(dim=student.dim)

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        terms = []
        for label, views in enumerate((teacher, student)):
            for view in as_list(views):
                scores = self.classifier(l2_normalize(view))
                target = scores.new_full((len(scores),), label).long()
                terms.append(F.cross_entropy(scores, target))
        return self.loss_weight * add_up(terms)
