"""Methods by name: what a file of ``configs/_base_/methods`` asks for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmdistill.engine.config_files import read_config
from mmdistill.models.losses import Phase
from mmdistill.registry import MODELS
from mmdistill.utils.shipped import shipped_folder

#: The student alone, for comparison.
ALONE = 'task'
#: Who teaches, by kind, as error messages say it.
KINDS = dict(
    alone='nobody: the student learns from its labels',
    teacher='a frozen teacher',
    peers='peers that learn together',
    self='the student itself, from several crops of an image',
)
_SCHEMES = ('OfflineDistiller', 'CoCoRD')
# Settings of methods that compare crops by prototypes.
_OF_CROPS = {'teacher_prototypes', 'clustering', 'dropout_views'}
_FOLDER = '_base_/methods'


@dataclass(frozen=True)
class Method:
    """A method, and what it needs of models and data.

    Attributes:
        name: of its file.
        cfg: the config in it: ``method``, ``method_hooks``, and settings.
    """

    name: str
    cfg: dict

    @property
    def settings(self) -> dict:
        """What it gives the model: losses, weights, a scheme."""
        return self.cfg.get('method') or {}

    @property
    def hooks(self) -> dict:
        """The hooks that it has, by key."""
        return self.cfg.get('method_hooks') or {}

    @cached_property
    def losses(self) -> dict[str, type]:
        """The classes of its losses by their names."""
        losses = self.settings.get('losses') or {}
        return {key: MODELS.get(cfg['type']) for key, cfg in losses.items()}

    @property
    def kind(self) -> str:
        """Who teaches; a key of `KINDS`."""
        if self.name == ALONE:
            return 'alone'
        moved = {h.get('target') for h in self.hooks.values() if h}
        if (
            self.settings.get('type', 'OfflineDistiller') not in _SCHEMES
            or {'teacher', 'teacher_prototypes'} & moved
            or _OF_CROPS & set(self.settings)
        ):
            return 'self'
        kinds = {loss.compares for loss in self.losses.values()}
        return 'peers' if 'peers' in kinds or not kinds else 'teacher'

    @property
    def needs_labels(self) -> bool:
        """Whether it is nothing without labels."""
        losses = self.settings.get('losses') or {}
        return self.kind in ('alone', 'peers') or any(
            'label' in _required(kind, losses[key])
            for key, kind in self.losses.items()
        )

    @property
    def is_label_free(self) -> bool:
        """Whether it is meant for training without labels."""
        return self.kind == 'teacher' and 'task_weight' not in self.settings

    @property
    def compares_scores(self) -> bool:
        """Whether it compares class scores, so that classes must agree."""
        return 'logits' in self._levels()

    @property
    def compares_heads(self) -> bool:
        """Whether it compares what heads of the models' own give."""
        return self.views == 1 and 'embedding' in self._levels()

    def _levels(self) -> set[str]:
        losses = self.settings.get('losses') or {}
        return {
            cfg.get('level') or self.losses[key].level
            for key, cfg in losses.items()
        }

    @property
    def has_teacher(self) -> bool:
        """Whether a frozen teacher takes part."""
        kinds = {loss.compares for loss in self.losses.values()}
        return self.kind in ('teacher', 'peers') and 'target' in kinds

    @property
    def views(self) -> int:
        """How many views of an image it compares."""
        return 2 if self.settings.get('type') == 'CoCoRD' else 1

    @property
    def shares_stages(self) -> bool:
        """Whether its peers are branches of one network."""
        needed = {n for loss in self.losses.values() for n in loss.requires}
        return 'shared_gradient' in self.settings or 'shared' in needed

    @property
    def has_warmup(self) -> bool:
        """Whether it begins with a phase of its own."""
        return any(
            Phase.WARMUP in loss.phases for loss in self.losses.values()
        )


def get_method(name: str) -> Method:
    """A method by its name.

    Raises:
        ValueError: for a name that there is not; it says which are near.
    """
    if name == ALONE:
        return Method(ALONE, {})
    known = method_names()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=4, cutoff=0.5)
        hint = f'did you mean {" or ".join(map(repr, near))}? ' if near else ''
        raise ValueError(
            f'method={name!r} is none; {hint}`mmdistill list methods` shows '
            'all'
        )
    path = shipped_folder('configs') / _FOLDER / f'{name}.py'
    return Method(name, read_config(path).to_dict())


def method_names() -> list[str]:
    """Names of all methods, `ALONE` first."""
    folder = shipped_folder('configs') / _FOLDER
    return [ALONE, *sorted(path.stem for path in folder.glob('*.py'))]


def names_where(condition: Any, names: Iterable[str] | None = None) -> str:
    """Names of the methods for which ``condition(method)`` is true."""
    chosen = method_names() if names is None else names
    found = [name for name in chosen if condition(get_method(name))]
    return ', '.join(found)


def _required(kind: type, cfg: dict) -> tuple[str, ...]:
    """What a loss with these settings needs of a batch."""
    if cfg.get('exclude_class') is False:
        return ()
    required = kind.requires
    return required if isinstance(required, tuple) else ('label',)
