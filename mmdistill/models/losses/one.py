from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss, PeerShapes
from mmdistill.ops import add_up, full_precision, labeled_count
from mmdistill.registry import MODELS


@MODELS.register_module()
class ONELoss(PeerLoss):
    """Train a gated ensemble on the labels and teach all peers with it.

    With the ensemble z_e = sum_m g_m z_m and the gate g = softmax(ReLU(BN(W
    h))), the loss is

        CE(softmax(z_e), y) + sum_m T^2 * KL(softmax(z_e / T) || softmax(z_m /
        T)),

    where z_e is detached in the second part. h is the pooled map that the
    branches share. Separate networks share no map, so their gate takes the
    concatenated features (our choice; the paper has branches only).

    In validation and tests z_e is the method's ensemble, too:
    `OnlineDistiller` passes it to `PeerAccuracy`.

    Paper: Lan et al., Knowledge Distillation by On-the-Fly Native Ensemble,
    NeurIPS 2018, https://arxiv.org/abs/1806.04606.

    Args:
        num_peers: M; the distiller fills it in.
        shared_dim: width of h; the distiller fills it in.
        temperature: T, dimensionless.
        loss_weight: factor on both parts.
    Shape:
        peers: (N, K) logits per peer; label: (N,), -1 for unlabeled samples,
        which count in the second part only; shared: (N, shared_dim). Returns
        ().
    Config:
        losses=dict(one=dict(type='ONELoss', temperature=3.0))
    """

    level = 'logits'
    requires = ('label', 'shared')
    min_batch = 2  # for the batch norm

    def __init__(
        self,
        num_peers: int,
        shared_dim: int,
        temperature: float = 3.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(loss_weight)
        self.gate = nn.Sequential(
            nn.Linear(shared_dim, num_peers),
            nn.BatchNorm1d(num_peers),
            nn.ReLU(),
        )
        self.divergence = KDLoss(temperature)

    @classmethod
    def infer_from_peers(cls, peers: PeerShapes) -> dict[str, Any]:
        return dict(
            num_peers=len(peers.feature_dims), shared_dim=peers.shared_dim
        )

    def forward(
        self, peers: Sequence[Tensor], label: Tensor, shared: Tensor
    ) -> Tensor:
        ensemble = self.ensemble(peers, shared)
        taught = add_up(
            self.divergence(peer, ensemble.detach()) for peer in peers
        )
        return self.loss_weight * (_cross_entropy(ensemble, label) + taught)

    @full_precision
    def ensemble(self, peers: Sequence[Tensor], shared: Tensor) -> Tensor:
        """The gated ensemble's logits z_e.

        Shape:
            peers: (N, K) logits of each peer; shared: (N, shared_dim);
            returns (N, K).
        """
        gate = self.gate(shared).softmax(dim=1)
        return (gate[:, :, None] * torch.stack(list(peers), 1)).sum(dim=1)


def _cross_entropy(scores: Tensor, label: Tensor) -> Tensor:
    """Mean over the labeled rows of all processes; 0 if there are none."""
    total = F.cross_entropy(scores, label, ignore_index=-1, reduction='sum')
    return total / labeled_count(label).to(scores.dtype)
