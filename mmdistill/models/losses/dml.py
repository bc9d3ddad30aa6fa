from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from torch import Tensor

from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.peers import PeerLoss
from mmdistill.registry import MODELS


@MODELS.register_module()
class DMLLoss(PeerLoss):
    """Teach each peer with the probabilities of every other peer.

    sum_m 1/(M-1) sum_{l != m} T^2 * KL(softmax(z_l / T) || softmax(z_m / T));
    the teaching peer's logits z_l are detached.

    Paper: Zhang et al., Deep Mutual Learning, CVPR 2018,
    https://arxiv.org/abs/1706.00384, with a temperature. All peers take a
    step at the same time, as in MCL-OKD's experiments; in the paper's
    algorithm they take turns.

    Args:
        temperature: T, dimensionless; 1 in the paper, 2 in MCL-OKD's
            experiments.
        loss_weight: factor on the loss.
    Shape:
        peers: (N, K) logits of each peer; returns ().
    Config:
        losses=dict(dml=dict(type='DMLLoss', temperature=2.0))
    """

    level = 'logits'

    def __init__(
        self, temperature: float = 1.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(loss_weight)
        self.divergence = KDLoss(temperature)

    def forward(self, peers: Sequence[Tensor]) -> Tensor:
        total = sum(
            self.divergence(learner, teacher.detach())
            for learner, teacher in permutations(peers, 2)
        )
        return self.loss_weight * total / (len(peers) - 1)
