from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.loss_builder import (
    BATCH_FIELDS,
    build_from,
    check_required,
    checked_level,
)
from mmdistill.models.losses.lookup import loss_class
from mmdistill.models.losses.peers import PeerLoss, PeerShapes
from mmdistill.models.parts import stages_among
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.models.shared_stages import SharedStages

#: What a loss among peers can require besides the fields of a batch.
PEER_FIELDS = ('features', 'shared')


class PeerGroup:
    """Networks that learn together, or branches of one, read in one pass.

    Args:
        student: reads the leader, which comes last wherever peers are listed.
        others: the other peers; of branches, their own stages are what is
            left of them.
        input_size: (C, H, W) of the images.
        cut: number of the last stage that branches share; None for separate
            networks.
        shared_gradient: 'sum' or 'mean' of the branches' gradients.
    Attributes:
        shapes: what losses among the peers are given.
    Raises:
        ValueError: if a peer is no classifier of the leader's classes, or the
            cut leaves branches nothing of their own.
    """

    def __init__(
        self,
        student: RepresentationReader,
        others: Sequence[nn.Module],
        input_size: Sequence[int],
        cut: int | None = None,
        shared_gradient: str = 'sum',
    ) -> None:
        self._student = student
        self._others = [
            RepresentationReader(peer, f'model.peers[{i}]')
            for i, peer in enumerate(others)
        ]
        self._shared_gradient = shared_gradient
        self._stages: SharedStages | None = None
        self.shapes = self._measure(input_size, cut)

    def _measure(
        self, input_size: Sequence[int], cut: int | None
    ) -> PeerShapes:
        """Share stages; what losses are given, from a dry run."""
        branches = cut is not None
        dry, shapes = self._student.dry_run(input_size, branches)
        _check_peer(self._student, dry, dry)
        if branches:
            self._share_stages(cut, shapes, input_size)
            others = [dry] * len(self._others)
        else:
            others = [
                reader.dry_run(input_size, False)[0] for reader in self._others
            ]
        for reader, peer in zip(self._others, others, strict=True):
            _check_peer(reader, peer, dry)
        widths = tuple(peer.feature.shape[1] for peer in (*others, dry))
        return PeerShapes(widths, shapes[cut][1] if branches else sum(widths))

    def _share_stages(
        self, cut: int, shapes: dict[int, tuple], input_size: Sequence[int]
    ) -> None:
        backbone = self._student.model.backbone
        stages = stages_among(backbone, shapes)
        if cut not in stages[:-1]:
            name = type(backbone).__name__
            if len(stages) < 2:
                raise ValueError(
                    f"model.mode='branch' cuts model.student.backbone between "
                    f'two stages, but {name} has none: it gives the maps '
                    f"{stages}; use another backbone or model.mode='network'"
                )
            raise ValueError(
                f'model.cut={cut} must leave branches a stage of their own: '
                f'{name} gives the maps {stages} (0 is a stem), so cut is one '
                f'of {stages[:-1]}'
            )
        self._stages = SharedStages(self._student, cut, input_size)
        for reader in self._others:
            self._stages.replace(reader.model.backbone)

    def read(self, images: Tensor) -> tuple[list[Representation], Tensor]:
        """All peers' representations, the student's last, and what they share.

        Shape:
            images: (N, C, H, W); the second is (N, shared_dim).
        """
        with self.sharing() as made:
            student = self._student(images)
            peers = [*self.read_others(images), student]
            if (
                made is not None
                and self._shared_gradient == 'mean'
                and made.map.requires_grad
            ):
                count = len(peers)  # alone: the hook must not hold the graph
                made.map.register_hook(lambda gradient: gradient / count)
            return peers, self.shared(made, [peer.feature for peer in peers])

    def read_others(self, images: Tensor) -> list[Representation]:
        """The other peers' representations, within `sharing`."""
        if self._stages is not None:
            images = self._stages.stub(images)
        return [read(images) for read in self._others]

    def sharing(self) -> AbstractContextManager:
        """While it lasts, the student's shared stages run for branches too."""
        if self._stages is None:
            return nullcontext()
        return self._stages.run(self._student.model.backbone)

    @staticmethod
    def shared(made: Any | None, features: Sequence[Tensor]) -> Tensor:
        """What the peers share, (N, shared_dim): of branches the map's means.

        Args:
            made: what `sharing` gave.
            features: of all peers.
        """
        if made is None:
            return torch.cat(list(features), dim=1)
        return made.map.flatten(2).mean(dim=2)


def _check_peer(
    reader: RepresentationReader, dry: Representation, student: Representation
) -> None:
    if dry.feature is None or dry.logits is None:
        raise ValueError(
            f'{reader.name} must be a classifier with a feature and class '
            f'scores; give it a head, got {type(reader.model).__name__}'
        )
    classes = [model.logits.shape[1] for model in (dry, student)]
    if classes[0] != classes[1]:
        raise ValueError(
            f'all peers must have the same classes, but {reader.name} gives '
            f'{classes[0]} and model.student {classes[1]}; set their '
            'head.num_classes alike'
        )


def build_peer_loss(
    name: str, cfg: dict | nn.Module, peers: PeerShapes
) -> PeerLoss:
    """Build a loss among peers, or say what it lacks.

    Raises:
        ValueError: if its level or what it requires is none that peers have.
    """
    who = f'losses.{name}'
    cls = loss_class(name, cfg)
    checked_level(who, cls, cfg, ('feature', 'logits'))
    loss = build_from(who, cls, cfg, cls.infer_from_peers(peers))
    check_required(who, loss, BATCH_FIELDS + PEER_FIELDS)
    return loss
