from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss, PeerShapes
from mmdistill.ops import add_up
from mmdistill.registry import MODELS


@MODELS.register_module()
class OKDDipLoss(PeerLoss):
    """Two-level online distillation with attention over auxiliary peers.

    With L the leader and a, b the M - 1 auxiliary peers, the loss is

        sum_a T^2 * KL(softmax(t_a / T) || softmax(z_a / T))
        + T^2 * KL(softmax(mean_a z_a / T) || softmax(z_L / T)),
        t_a = sum_b alpha_ab z_b,  alpha_ab = softmax_b <Q f_a, K f_b>.

    The first level gives each auxiliary peer its own target t_a; the second
    teaches the leader with the mean of the auxiliary peers. No target is
    detached: the attention learns through the targets, as in the authors'
    code, which also ramps up the weight of the loss over the first 80 epochs
    (`RampUpHook`).

    The attention alone can therefore lower the first level: with alpha_aa = 1
    a peer's target is its own output, and nothing is left to learn. On fixed
    random features of width 64 and random logits of four peers, 400 steps
    take the first level from 8.7 to 0.0001 and alpha_aa from 0.34 to 0.998.
    ``attend_self=False`` (our option) excludes alpha_aa.

    Paper: Chen et al., Online Knowledge Distillation with Diverse Peers, AAAI
    2020, https://arxiv.org/abs/1912.00350.

    Args:
        feature_dim: width of the peers' features, one number or one per peer;
            the distiller fills it in.
        reduction: ratio of feature_dim to the width of Q and K.
        temperature: T, dimensionless.
        attend_self: whether a peer's own logits are part of its target.
        loss_weight: factor on both levels.
    Shape:
        peers: (N, C) logits per peer, the leader's last; features: (N, D) per
        peer. Returns ().
    Raises:
        ValueError: if the peers' features differ in width, or if
            ``attend_self=False`` with a single auxiliary peer.
    Config:
        losses=dict(okddip=dict(type='OKDDipLoss', temperature=3.0))
    """

    level = 'logits'
    requires = ('features',)

    def __init__(
        self,
        feature_dim: int | Sequence[int],
        reduction: int = 8,
        temperature: float = 3.0,
        attend_self: bool = True,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        if isinstance(feature_dim, int):
            feature_dim = [feature_dim]
        widths = set(feature_dim)
        if len(widths) > 1:
            raise ValueError(
                'OKDDipLoss attends by one projection of all peers, whose '
                'features must have one width, got feature_dim='
                f'{tuple(feature_dim)}; use equal networks in model.peers'
            )
        (width,) = widths
        self.attend_self = attend_self
        inner = max(width // reduction, 1)
        self.query = nn.Linear(width, inner, bias=False)
        self.key = nn.Linear(width, inner, bias=False)
        self.divergence = KDLoss(temperature)

    @classmethod
    def infer_from_peers(cls, peers: PeerShapes) -> dict[str, Any]:
        return dict(feature_dim=peers.feature_dims)

    def forward(
        self, peers: Sequence[Tensor], features: Sequence[Tensor]
    ) -> Tensor:
        *auxiliary, leader = peers
        if len(auxiliary) < 2 and not self.attend_self:
            raise ValueError(
                'OKDDipLoss.attend_self=False needs two auxiliary peers that '
                f'attend to each other, got {len(peers)} peers with the '
                'leader; set model.num_peers >= 3'
            )
        feature = torch.stack(list(features[:-1]), dim=1)
        energy = self.query(feature) @ self.key(feature).transpose(1, 2)
        if not self.attend_self:
            own = torch.eye(
                len(auxiliary), dtype=torch.bool, device=energy.device
            )
            energy = energy.masked_fill(own, -torch.inf)
        logits = torch.stack(auxiliary, dim=1)
        targets = energy.softmax(dim=2) @ logits
        first = add_up(
            self.divergence(z, t)
            for z, t in zip(auxiliary, targets.unbind(1), strict=True)
        )
        second = self.divergence(leader, logits.mean(dim=1))
        return self.loss_weight * (first + second)
