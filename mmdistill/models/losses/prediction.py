from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.distill_loss import DistillLoss, Shapes
from mmdistill.models.losses.view_pairs import as_list
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class PredictionLoss(DistillLoss):
    """Squared distance of L2-normalized vectors: mean of 2 - 2 cos(p, q).

    With several views, view i of the student predicts view i of the target,
    and the loss is the sum over the views that both have. A distiller gives
    the target's views in the order that they are predicted in.

    Papers: Fu et al., Contrastive Consistent Representation Distillation,
    BMVC 2023, eqs. 6 and 7 of https://openreview.net/forum?id=NSMlX2F21C7;
    Grill et al., Bootstrap Your Own Latent, NeurIPS 2020,
    https://arxiv.org/abs/2006.07733.

    Args:
        dim: width D; the distiller fills it in.
        predictor: config of a head on the student's side, such as
            ``dict(type='PredictorHead')``; None compares the student as it
            is.
        loss_weight: factor on the loss; 4 in CoCoRD.
    Shape:
        student: (N, D); teacher: (N, D) targets, detached; or a list of these
        each. Returns ().
    Config:
        losses=dict(prediction=dict(
            type='PredictionLoss', predictor=dict(type='PredictorHead'),
            loss_weight=4.0))
    """

    level = 'embedding'
    multi_view = True

    def __init__(
        self,
        dim: int | None = None,
        predictor: dict[str, Any] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.predictor: nn.Module = nn.Identity()
        if predictor is not None:
            self.predictor = MODELS.build({'dim': dim, **predictor})

    @classmethod
    def infer(cls, student: Shapes, target: Shapes) -> dict[str, Any]:
        return dict(dim=student.dim)

    def forward(
        self,
        student: Tensor | Sequence[Tensor],
        teacher: Tensor | Sequence[Tensor],
    ) -> Tensor:
        pairs = zip(as_list(student), as_list(teacher), strict=False)
        return add_up(
            self._distance(self.predictor(view), target)
            for view, target in pairs
        )

    def _distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        cosine = F.cosine_similarity(prediction, target.detach(), dim=1)
        return self.loss_weight * (2 - 2 * cosine).mean()
