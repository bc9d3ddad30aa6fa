from __future__ import annotations

from torch import nn

from mmdistill.registry import MODELS


@MODELS.register_module()
class ProjectionHead(nn.Sequential):
    """Linear layers with BatchNorm and ReLU between: (N, D) to (N, E).

    Args:
        in_dim: D, width of the feature.
        hidden_dim: width of the layers in between; D when None.
        out_dim: E.
        num_layers: number of linear layers.
    Raises:
        ValueError: if there is no layer.
    Config:
        head=dict(type='ProjectionHead', out_dim=128)
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int | None = None,
        out_dim: int = 128,
        num_layers: int = 2,
    ) -> None:
        if num_layers < 1:
            raise ValueError(
                f'ProjectionHead needs num_layers >= 1, got {num_layers}'
            )
        hidden_dim = hidden_dim or in_dim
        layers: list[nn.Module] = []
        for _ in range(num_layers - 1):
            layers += [
                nn.Linear(in_dim, hidden_dim, bias=False),
                nn.BatchNorm1d(hidden_dim),
                nn.ReLU(inplace=True),
            ]
            in_dim = hidden_dim
        super().__init__(*layers, nn.Linear(in_dim, out_dim))


@MODELS.register_module()
class PredictorHead(ProjectionHead):
    """Predicts one embedding from another of the same width: (N, E) twice.

    Args:
        dim: E.
        hidden_dim: width in between; E when None.
    Config:
        predictor=dict(type='PredictorHead', hidden_dim=512)
    """

    def __init__(self, dim: int, hidden_dim: int | None = None) -> None:
        super().__init__(dim, hidden_dim, out_dim=dim)
