from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss
from mmdistill.ops import full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class OKDDipLoss(PeerLoss):
    """Auxiliary peers attend to each other; their ensemble teaches the leader.

    Two levels, with L the leader and a, b the M - 1 others:

        sum_a T^2 * KL(softmax(t_a / T) || softmax(z_a / T))
        + T^2 * KL(softmax(mean_a z_a / T) || softmax(z_L / T)),
        t_a = sum_b alpha_ab z_b,  alpha_ab = softmax_b <Q f_a, K f_b>.

    Every auxiliary peer thus has targets of its own. No gradient is cut off:
    the attention learns through the targets, as in the authors' code, which
    also lets the weight of the loss grow over the first 80 epochs
    (`RampUpHook`).

    Paper: Chen et al., Online Knowledge Distillation with Diverse Peers, AAAI
    2020.

    Args:
        feature_dim: the width of all peers' features, or each one's; the
            distiller fills it in.
        reduction: feature_dim over the width of Q and K.
        temperature: T, dimensionless.
        loss_weight: factor on both levels.
    Shape:
        peers: (N, C) logits of each peer, the leader's last; features: (N, D)
        of each. Returns ().
    Raises:
        ValueError: if the peers' features differ in width.
    Config:
        losses=dict(okddip=dict(type='OKDDipLoss', temperature=3.0))
    """

    level = 'logits'
    needs = ('features',)

    def __init__(
        self,
        feature_dim: int | Sequence[int],
        reduction: int = 8,
        temperature: float = 3.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        widths = {feature_dim}
        if not isinstance(feature_dim, int):
            widths = set(feature_dim)
        if len(widths) > 1:
            raise ValueError(
                'OKDDipLoss attends by one projection of all peers, whose '
                'features must have one width, got feature_dim='
                f'{tuple(feature_dim)}; use equal networks in model.peers'
            )
        (width,) = widths
        inner = max(width // reduction, 1)
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.divergence = KDLoss(temperature)

    @full_precision
    def forward(
        self, peers: Sequence[Tensor], features: Sequence[Tensor]
    ) -> Tensor:
        *auxiliary, leader = peers
        feature = torch.stack(list(features[:-1]), dim=1)
        energy = self.query(feature) @ self.key(feature).transpose(1, 2)
        logits = torch.stack(auxiliary, dim=1)
        targets = energy.softmax(dim=2) @ logits
        first = sum(
            self.divergence(z, t)
            for z, t in zip(auxiliary, targets.unbind(1), strict=True)
        )
        second = self.divergence(leader, logits.mean(dim=1))
        return self.loss_weight * (first + second)
