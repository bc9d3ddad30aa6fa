from __future__ import annotations

from typing import ClassVar

from mmdistill.models.losses.base import DistillLoss


class PeerLoss(DistillLoss):
    """What `OnlineDistiller` asks of a loss; subclassing it is optional.

    A loss among peers is any registered ``nn.Module`` with ``compares_peers =
    True``, a ``level``, 'feature' or 'logits', and a ``forward(peers,
    **needed)`` that returns a weighted scalar. ``peers`` are that level's
    tensors of all peers, (N, D_m) each; the last one is the leader's.

    It can need, beside 'label' and 'sample_idx', 'features', the peers' (N,
    D_m), and 'shared', (N, C): the pooled map that branches begin with, or,
    of separate networks, their features side by side. Arguments that a config
    may leave out: ``num_peers``, ``feature_dim`` (the widths D_m) and
    ``shared_dim`` (C).

    One whose ensemble is not the mean of the peers' logits says which it is
    by a method ``ensemble(logits, shared)``, (N, K): `PeerAccuracy` reports
    it.

    Args:
        loss_weight: factor on the returned value.
    """

    compares_peers: ClassVar[bool] = True
