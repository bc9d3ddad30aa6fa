from __future__ import annotations

from typing import ClassVar

from mmdistill.models.losses.base import DistillLoss


class PeerLoss(DistillLoss):
    """The interface between `OnlineDistiller` and a loss among peers.

    Subclassing is optional.

    A loss among peers is any registered ``nn.Module`` with ``compares_peers =
    True``, a ``level``, 'feature' or 'logits', and a ``forward(peers,
    **needed)`` that returns a weighted scalar. ``peers`` are that level's
    tensors of all peers, (N, D_m) each; the last one is the leader's.

    Besides 'label' and 'sample_idx', ``needs`` may list 'features', the
    peers' features (N, D_m), and 'shared', (N, C): the pooled map that the
    branches share, or the concatenated features of separate networks. The
    distiller fills in the arguments ``num_peers``, ``feature_dim`` (the widths
    D_m) and ``shared_dim`` (C) where a config leaves them out.

    A loss whose ensemble is not the mean of the peers' logits defines a method
    ``ensemble(logits, shared)`` that returns (N, K); `PeerAccuracy` reports
    its accuracy.

    Args:
        loss_weight: factor on the returned value.
    """

    compares_peers: ClassVar[bool] = True
