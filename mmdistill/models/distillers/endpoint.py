from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from mmdistill.models.network_maps import level_of
from mmdistill.models.parts import (
    gives_pre_activation,
    prototypes_of,
    stages_among,
)
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
    classes_key,
)


class Endpoint:
    """A model that losses look at, and what it can give.

    Args:
        name: 'student', or the target's name.
        reader: reads the model.
        input_size: (C, H, W) of the images it takes.
        with_maps: whether any loss compares maps.
    """

    def __init__(
        self,
        name: str,
        reader: RepresentationReader,
        input_size: Sequence[int],
        with_maps: bool,
    ) -> None:
        self.name = name
        #: What errors call it.
        self.who = f'the {name}'
        if name not in ('student', 'teacher'):
            self.who = f'the target {name!r}'
        self.reader = reader
        self._width = input_size[-1]
        #: Config key of the model.
        self.setting = reader.name or f'model.{name}'
        self.dry, self.map_shapes = reader.dry_run(input_size, with_maps)

    def levels(self) -> list[str]:
        """The levels that this model has."""
        names = [level.name for level in fields(Representation)]
        return [
            name
            for name in names
            if name == 'maps' or getattr(self.dry, name) is not None
        ]

    def width(self, level: str) -> int | None:
        """Width of a level's rows; None if the model does not have it."""
        rows = getattr(self.dry, level)
        return None if rows is None else rows.shape[1]

    def channels(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """Channels of some maps."""
        return tuple(self.map_shapes[number][1] for number in numbers)

    def map_level(self, number: int) -> int:
        """Log2 of a map's stride."""
        return level_of(self.map_shapes[number][-1], self._width)

    def width_key(self) -> str:
        """The config key that says how many scores the model gives."""
        if prototypes_of(self.reader.model) is not None:
            return f'{self.setting}.prototypes.num_prototypes'
        return classes_key(self.reader.model, self.setting)

    def require_pre_activation(self, who: str) -> None:
        """Raise if the model cannot give maps before the activation."""
        backbone = self.reader.model.backbone
        if not gives_pre_activation(backbone):
            raise ValueError(
                f'{who} compares maps from before the activation, which '
                f'{self.who} ({type(backbone).__name__}) cannot give; use '
                'networks of the CIFAR zoo or another loss'
            )

    def choose_maps(
        self, choice: str | Sequence[int] | Mapping[str, Any], who: str
    ) -> tuple[int, ...]:
        """The numbers of the maps that a loss chooses.

        Args:
            choice: 'stages', 'last', 'all' or numbers, or one of these for
                each model, by its name.
            who: the loss, for error messages.
        """
        if isinstance(choice, Mapping):
            choice = choice[self.name]
        numbers = sorted(self.map_shapes)
        stages = stages_among(self.reader.model.backbone, numbers)
        names = dict(
            stages=[n for n in stages if n > 0],
            last=stages[-1:],
            all=stages,
        )
        if isinstance(choice, str):
            if choice not in names:
                raise ValueError(
                    f'{who}.maps must be one of {sorted(names)} or a list of '
                    f'numbers, got {choice!r}'
                )
            chosen = names[choice]
        else:
            chosen = [
                stages[n] if -len(stages) <= n < 0 else n for n in choice
            ]
        missing = sorted(set(chosen) - set(numbers))
        backbone = type(self.reader.model.backbone).__name__
        if missing:
            stem = ' (0 is the stem)' if 0 in missing else ''
            raise ValueError(
                f'{who}.maps asks for {missing}{stem}, but {self.who} '
                f'({backbone}) gives {numbers}; change {who}.maps'
            )
        for number in chosen:
            shape = self.map_shapes[number]
            if len(shape) != 4:
                raise ValueError(
                    f'{who} compares maps (N, C, H, W), but output {number} '
                    f'of {self.setting}.backbone has shape {shape}; let '
                    'the backbone give maps and pool them in a neck'
                )
        return tuple(chosen)
