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
    """An MLP with BatchNorm and activations: (N, D) to (N, E).

    Papers: the heads of MoCo-v2, SwAV and DINO (see
    `models.encoders.encoder_zoo`); dropout that generates further views:
    Choi et al., Unsupervised Representation Transfer for Small Networks: I
    Believe I Can Distill On-the-Fly (OSS), NeurIPS 2021
    (https://proceedings.neurips.cc/paper/2021), section 3.2.

    Args:
        in_dim: D, width of the feature.
        hidden_dim: width of the hidden layers; D when None.
        out_dim: E.
        num_layers: number of linear layers.
        batch_norm: BatchNorm after every linear layer but the last.
        activation: 'ReLU' or 'GELU', after every linear layer but the last.
        dropout: rate after every linear layer, or one rate per linear layer;
            0.1 and 0.05 in OSS. It is active in training only.
        normalize: L2-normalize the output, in float32.
        bias: whether the linear layers have a bias; None leaves it out where
            BatchNorm follows.
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
        # Functional dropout, so state-dict keys are the same with and without.
        self.dropout = rates
        self.normalize = normalize

    def forward(self, x: Tensor, dropout: bool = True) -> Tensor:
        """Project; ``dropout=False`` turns dropout off in training, too."""
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
    """An MLP that predicts one embedding from another: (N, E) to (N, E).

    Args:
        dim: E.
        hidden_dim: width of the hidden layer; E when None.
    Config:
        predictor=dict(type='PredictorHead', hidden_dim=512)
    """

    def __init__(self, dim: int, hidden_dim: int | None = None) -> None:
        super().__init__(dim, hidden_dim, out_dim=dim)
