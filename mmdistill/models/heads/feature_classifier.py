from __future__ import annotations

from torch import Tensor

from mmdistill.models.heads.mlp import ProjectionHead
from mmdistill.ops import reverse_gradient
from mmdistill.registry import MODELS


@MODELS.register_module()
class FeatureClassifier(ProjectionHead):
    """Tells whose embedding it is given: (N, D) to (N, 2) logits.

    It learns to tell teacher (0) and student (1) apart, while the reversed
    gradient teaches both networks to be mistaken for each other.

    Paper: Choi et al., Unsupervised Representation Transfer for Small
    Networks (OSS), NeurIPS 2021, section 3.3, eq. 7
    (seed 003_807af9c198cb5496.txt), which says "an MLP": two layers with ReLU
    between are our choice.

    Args:
        in_dim: D, width of the embedding.
        hidden_dim: width in between; D when None.
        alpha: factor on the reversed gradient.
    Shape:
        (N, D); returns (N, 2).
    Config:
        feature_classifier=dict(type='FeatureClassifier', hidden_dim=128)
    """

    def __init__(
        self, in_dim: int, hidden_dim: int | None = None, alpha: float = 1.0
    ) -> None:
        super().__init__(in_dim, hidden_dim, out_dim=2, batch_norm=False)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(reverse_gradient(x, self.alpha))

    def extra_repr(self) -> str:
        return f'alpha={self.alpha}'
