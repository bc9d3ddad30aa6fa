from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmdistill.models.losses.distill_loss import DistillLoss


@dataclass(frozen=True)
class PeerShapes:
    """What peers give a loss among them, for `PeerLoss.infer_from_peers`.

    Attributes:
        feature_dims: width D_m of each peer's feature, the leader's last.
        shared_dim: width C of what they share.
    """

    feature_dims: tuple[int, ...]
    shared_dim: int


class PeerLoss(DistillLoss):
    """What an `OnlineDistiller` looks at in a loss among peers.

    ``level`` is 'feature' or 'logits', and ``forward(peers, **fields)`` takes
    that level's tensors of all peers, (N, D_m) each; the last one is the
    leader's.

    Besides 'label' and 'sample_idx', ``requires`` may list 'features', the
    peers' features (N, D_m), and 'shared', (N, C): the pooled map that the
    branches share, or the concatenated features of separate networks.

    Args:
        loss_weight: factor on the returned value.
    """

    compares = 'peers'

    @classmethod
    def infer_from_peers(cls, peers: PeerShapes) -> dict[str, Any]:
        """Arguments of the constructor that a config may leave out.

        Peers are no pair, so it takes what `OnlineDistiller` knows of all.
        """
        return {}

    def ensemble(
        self, logits: Sequence[Tensor], shared: Tensor
    ) -> Tensor | None:
        """The ensemble's (N, K) logits where they are not the peers' mean.

        `PeerAccuracy` reports its accuracy.

        Shape:
            logits: (N, K) of each peer; shared: (N, C).
        """
        return None
