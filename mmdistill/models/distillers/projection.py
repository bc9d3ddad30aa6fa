"""Projection heads behind the models, which make the embeddings of losses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.distillers.comparing import ComparingDistiller
from mmdistill.models.probing import evaluating
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.registry import MODELS


class HeadedReader(RepresentationReader):
    """Reads a model, with what a head makes of its feature as embedding.

    Args:
        model, name: as of `RepresentationReader`.
        head: takes the feature; None leaves the embedding as it is.
    """

    def __init__(
        self, model: nn.Module, name: str, head: nn.Module | None = None
    ) -> None:
        super().__init__(model, name)
        self.head = head

    @classmethod
    def of(cls, reader: RepresentationReader, head: nn.Module) -> HeadedReader:
        """Reads what another reader does, with a head."""
        headed = cls(reader.model, reader.name, head)
        headed.prototypes = reader.prototypes
        return headed

    def __call__(
        self, inputs: Tensor, projected: bool = True
    ) -> Representation:
        return self._embedded(super().__call__(inputs, projected))

    def views(self, views: Sequence[Tensor]) -> list[Representation]:
        """All views in one batch; the head sees one after the other."""
        seen = super().__call__(torch.cat(list(views)))
        return [self._embedded(view) for view in seen.split(len(views[0]))]

    def dry_run(self, *args: Any) -> tuple[Representation, dict]:
        with evaluating(self.head or nn.Identity()):
            return super().dry_run(*args)

    def _embedded(self, seen: Representation) -> Representation:
        if self.head is None:
            return seen
        return replace(seen, embedding=self.head(seen.feature))


def add_heads(
    distiller: ComparingDistiller,
    head: Mapping[str, Any],
    input_size: Sequence[int],
) -> tuple[str, ...]:
    """Give the student, the teacher and the slow student a projection head.

    Those of teacher and slow student are copies of the student's for a
    `MomentumUpdateHook` to move: ``student_head``, ``teacher_head`` and
    ``slow_head``. Further teachers stay without.

    Args:
        distiller: with the targets 'teacher' and 'slow_student'.
        head: config of a head; ``in_dim`` is filled in.
        input_size: (C, H, W) of the student's images.
    Returns:
        the heads that are no copies, as the features differ in width.
    """
    student, teacher = distiller.student_reader, distiller.targets['teacher']
    widths = [
        reader.dry_run(size, False)[0].feature.shape[1]
        for reader, size in (
            (student, input_size),
            (teacher.reader, teacher.input_size),
        )
    ]
    own = MODELS.build({'in_dim': widths[0], **head})
    distiller.student_head = own
    distiller.teacher_head = copy.deepcopy(own)
    if widths[0] != widths[1]:
        distiller.teacher_head = MODELS.build({'in_dim': widths[1], **head})
    distiller.slow_head = copy.deepcopy(own)
    distiller.student_reader = HeadedReader.of(student, own)
    copies = dict(
        teacher=distiller.teacher_head, slow_student=distiller.slow_head
    )
    for copied in copies.values():
        copied.requires_grad_(False)
    for name, target in distiller.targets.items():
        target.reader = HeadedReader(
            target.model, target.setting, copies.get(name)
        )
    return () if widths[0] == widths[1] else ('teacher_head',)
