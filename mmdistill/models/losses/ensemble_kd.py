from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class EnsembleKDLoss(PeerLoss):
    """Teach the leader, and no other peer, with the ensemble of all peers.

    T^2 * KL(softmax(z_E / T) || softmax(z_M / T)), where z_E is the mean of
    all peers' logits, the leader's included, detached. The other peers are
    not taught by the ensemble, so they stay diverse.

    Paper: Yang et al., Multi-view Contrastive Learning for Online Knowledge
    Distillation, ICASSP 2021, https://arxiv.org/abs/2006.04093, eqs. 3 to 5
    and, for T^2, 12 of the earlier, longer version there.

    Args:
        temperature: T, dimensionless.
        loss_weight: factor on the loss.
    Shape:
        peers: (N, K) logits of each peer, the leader's last; returns ().
    Config:
        losses=dict(ensemble=dict(type='EnsembleKDLoss', temperature=3.0))
    """

    level = 'logits'

    def __init__(
        self, temperature: float = 3.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.divergence = KDLoss(temperature)

    def forward(self, peers: Sequence[Tensor]) -> Tensor:
        ensemble = torch.stack(list(peers)).mean(dim=0).detach()
        return self.loss_weight * self.divergence(peers[-1], ensemble)
