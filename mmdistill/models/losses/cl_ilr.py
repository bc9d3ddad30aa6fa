from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class CLILRLoss(PeerLoss):
    """Teach each peer with the consensus of all other peers.

    sum_m T^2 * KL(softmax(z_-m / T) || softmax(z_m / T)), where z_-m is the
    mean of the other peers' logits, detached. The second half of the method,
    shared early stages that get the mean of the branches' gradients, is
    ``shared_gradient='mean'`` of `OnlineDistiller`.

    Paper: Song and Chai, Collaborative Learning for Deep Neural Networks,
    NeurIPS 2018, https://arxiv.org/abs/1805.11761, with one level of sharing.

    Args:
        temperature: T, dimensionless.
        loss_weight: factor on the loss; 0.5 with task_weight=0.5 in the
            paper.
    Shape:
        peers: (N, K) logits of each peer; returns ().
    Config:
        losses=dict(cl_ilr=dict(type='CLILRLoss', loss_weight=0.5))
    """

    level = 'logits'

    def __init__(
        self, temperature: float = 2.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.divergence = KDLoss(temperature)

    def forward(self, peers: Sequence[Tensor]) -> Tensor:
        together = torch.stack([peer.detach() for peer in peers]).sum(dim=0)
        total = sum(
            self.divergence(
                peer, (together - peer.detach()) / (len(peers) - 1)
            )
            for peer in peers
        )
        return self.loss_weight * total
