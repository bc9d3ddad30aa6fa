from __future__ import annotations

from torch import Tensor

from mmdistill.models.heads.mlp import ProjectionHead
from mmdistill.ops import reverse_gradient
from mmdistill.registry import MODELS


@MODELS.register_module()
class FeatureClassifier(ProjectionHead):
    """Classify whose embedding it is, teacher's or student's, adversarially.

    The classifier learns to distinguish teacher (0) and student (1). Gradient
    reversal trains both networks to make their embeddings indistinguishable.

    Paper: Choi et al., Unsupervised Representation Transfer for Small
    Networks: I Believe I Can Distill On-the-Fly (OSS), NeurIPS 2021
    (https://proceedings.neurips.cc/paper/2021), section 3.3, eq. 7. The paper
    says "an MLP"; two layers with a ReLU between them are our choice.

    Args:
        in_dim: D, width of the embedding.
        hidden_dim: width of the hidden layer; D when None.
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
