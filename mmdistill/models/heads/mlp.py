from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from mmengine.model import Sequential
from torch import Tensor, nn

from mmdistill.ops import l2_normalize
from mmdistill.registry import MODELS

_ACTIVATIONS = dict(ReLU=partial(nn.ReLU, inplace=True), GELU=nn.GELU)


@MODELS.register_module()
class ProjectionHead(Sequential):
    """Linear layers with BatchNorm and activation between: (N, D) to (N, E).

    Paper: the heads of MoCo-v2, SwAV and DINO (see `models.encoders.zoo`);
    dropout that makes further views: Choi et al., Unsupervised Representation
    Transfer for Small Networks (OSS), NeurIPS 2021, section 3.2
    (seed 003_807af9c198cb5496.txt).

    Args:
        in_dim: D, width of the feature.
        hidden_dim: width of the layers in between; D when None.
        out_dim: E.
        num_layers: number of linear layers.
        batch_norm: BatchNorm behind every linear layer but the last.
        activation: 'ReLU' or 'GELU', behind every linear layer but the last.
        dropout: rate behind every linear layer, or one rate a linear layer;
            0.1 and 0.05 in OSS. It draws in training only.
        normalize: L2-normalize what comes out, in float32.
        bias: of the linear layers; None leaves it out where BatchNorm
            follows.
        init_cfg: MMEngine's initialization config; torch's defaults when None.
            DINO's: dict(type='TruncNormal', layer='Linear', std=0.02).
    Shape:
        (N, D); returns (N, E).
    Raises:
        ValueError: if there is no layer, the activation is unknown, or there
            are not as many dropout rates as layers.
    Config:
        head=dict(type='ProjectionHead', hidden_dim=2048, out_dim=128,
                  dropout=(0.1, 0.05), normalize=True)
    """

    def __init__(
        self,
        in_dim: int,
        hidden_dim: int | None = None,
        out_dim: int = 128,
        num_layers: int = 2,
        batch_norm: bool = True,
        activation: str = 'ReLU',
        dropout: float | Sequence[float] = 0.0,
        normalize: bool = False,
        bias: bool | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if num_layers < 1:
            raise ValueError(
                f'ProjectionHead needs num_layers >= 1, got {num_layers}'
            )
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f'ProjectionHead knows activation={sorted(_ACTIVATIONS)}, '
                f'got {activation!r}'
            )
        rates = (
            (dropout,) * num_layers
            if isinstance(dropout, (int, float))
            else tuple(dropout)
        )
        if len(rates) != num_layers:
            raise ValueError(
                f'ProjectionHead.dropout has {len(rates)} rates for '
                f'num_layers={num_layers}; give one number, or one for each '
                'linear layer'
            )
        hidden_dim = hidden_dim or in_dim
        layers: list[nn.Module] = []
        for _ in range(num_layers - 1):
            layers.append(
                nn.Linear(
                    in_dim,
                    hidden_dim,
                    bias=not batch_norm if bias is None else bias,
                )
            )
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden_dim))
            layers.append(_ACTIVATIONS[activation]())
            in_dim = hidden_dim
        layers.append(nn.Linear(in_dim, out_dim, bias=bias is not False))
        super().__init__(*layers, init_cfg=init_cfg)
        # No modules: names of weights do not depend on dropout.
        self.dropout = rates
        self.normalize = normalize

    def forward(self, x: Tensor, dropout: bool = True) -> Tensor:
        """Project; ``dropout=False`` leaves dropout out in training too."""
        rates = iter(self.dropout)
        for layer in self:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                x = F.dropout(x, next(rates), self.training and dropout)
        return l2_normalize(x) if self.normalize else x

    def extra_repr(self) -> str:
        return f'dropout={self.dropout}, normalize={self.normalize}'


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
