"""Targets: the models that a student is compared with."""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmdistill.checkpoints import classes_of
from mmdistill.models.distillers.teacher_file import (
    fingerprint,
    is_missing_file,
    load_teacher,
)
from mmdistill.models.parts import has_file
from mmdistill.models.representation import RepresentationReader


class Role(str, enum.Enum):
    """What becomes of a target while the student learns."""

    #: It stays as its file has it, and is no submodule of the distiller.
    FROZEN = 'frozen'
    #: A `MomentumUpdateHook` moves it.
    MOVED = 'moved'
    #: It learns, too.
    LEARNS = 'learns'


@dataclass(eq=False)
class Target:
    """A model that a student is compared with.

    Attributes:
        name: losses name it as their ``target``, and checkpoints.
        model: the network.
        role: see `Role`.
        reader: reads its representations.
        input_size: (C, H, W) of its images, for the dry run.
        ckpt: file of a frozen one's weights.
        setting: config key of the network; of a frozen one, ``setting_ckpt``
            is that of its file, ``setting_preprocessor`` that of its images'.
        all_views: it sees all views, not only the global ones.
        classes: names of the classes in its file; None if the file does not
            tell, or was not read yet.
        chosen: numbers of those of its classes that are compared, in the order
            of the student's; all when None.
    """

    name: str
    model: nn.Module
    role: Role
    input_size: Sequence[int]
    ckpt: str | None = None
    setting: str = ''
    setting_ckpt: str = ''
    setting_preprocessor: str = ''
    all_views: bool = False
    classes: tuple[str, ...] | None = None
    chosen: Sequence[int] | None = None
    is_ready: bool = True
    reader: RepresentationReader | None = None

    def __post_init__(self) -> None:
        self.setting = self.setting or f'model.{self.name}'
        if self.reader is None:
            self.reader = RepresentationReader(self.model, self.setting)
        self.reader.classes = self.chosen
        if self.role == Role.FROZEN:
            _freeze(self.model)
            self.is_ready = False
            # What may have to be fetched waits until training starts.
            waits = self.ckpt is None and has_file(self.model)
            if not (waits or is_missing_file(self.ckpt)):
                self.prepare()

    @property
    def is_frozen(self) -> bool:
        return self.role == Role.FROZEN

    def prepare(self) -> None:
        """Load a frozen target's file if that was not done yet.

        Raises:
            FileNotFoundError, CheckpointError: see `load_teacher`.
        """
        if self.is_ready:
            return
        meta = load_teacher(
            self.model, self.ckpt, self.setting, self.setting_ckpt
        )
        self.classes = classes_of(meta)
        if self.classes is not None and self.chosen is not None:
            self.classes = tuple(self.classes[k] for k in self.chosen)
        _freeze(self.model)
        self.is_ready = True

    def warn_if_random(self) -> None:
        """Log a warning about a frozen target that nothing gave weights."""
        if self.is_frozen and self.ckpt is None and not has_file(self.model):
            who = 'the teacher'
            if self.name != 'teacher':
                who = f'the target {self.name!r}'
            print_log(
                f'{self.setting_ckpt} is not set and {self.setting} has no '
                f'init_cfg: {who} is a random network',
                logger='current',
                level=logging.WARNING,
            )

    def fingerprint(self) -> str:
        """Hash of its weights, kept in checkpoints."""
        return fingerprint(self.model)


class Targets(dict):
    """The targets of a distiller by name, in the order that they are read."""

    @property
    def frozen(self) -> dict[str, Target]:
        """Those that stay as their files have them."""
        return {name: t for name, t in self.items() if t.is_frozen}

    def prepare(self) -> None:
        """Load what was not loaded yet; warn of networks that stay random."""
        for target in self.frozen.values():
            target.prepare()
            target.warn_if_random()

    def meta(self) -> dict[str, Any]:
        """What ``meta`` of a full checkpoint tells of frozen ones: hashes."""
        return {
            f'{name}_sha256': target.fingerprint()
            for name, target in self.frozen.items()
        }

    def check_meta(self, meta: Mapping[str, Any]) -> None:
        """Raise ValueError if a run had other frozen targets.

        Args:
            meta: of a checkpoint of that run.
        """
        had = {
            key.removesuffix('_sha256')
            for key, value in meta.items()
            if key.endswith('_sha256') and value is not None
        }
        if had - set(self.frozen):
            print_log(
                f'this run was started with the teachers {sorted(had)} and '
                f'goes on with {sorted(self.frozen)}',
                logger='current',
                level=logging.WARNING,
            )
        for name, target in self.frozen.items():
            before = meta.get(f'{name}_sha256')
            if before not in (None, target.fingerprint()):
                raise ValueError(
                    f'this run was started with another {name} (the SHA-256 '
                    f'of its weights was {before[:12]}…); resume with the '
                    f'same {target.setting_ckpt}, or start anew with load_from'
                )


def _freeze(model: nn.Module) -> nn.Module:
    """Eval mode (BatchNorm, Dropout and DropPath too), no gradients."""
    model.eval()
    return model.requires_grad_(False)


def teacher_entries(
    teachers: Mapping[str, dict] | None, **short: Any
) -> dict[str, dict]:
    """Frozen teachers by name, each with its network and what it brings.

    Args:
        teachers: name to ``dict(model=..., ckpt=..., preprocessor=...,
            input_size=..., classes=...)``, of which ``model`` alone must be
            there.
        short: the same of the one that is called 'teacher', if its ``model``
            is given.
    Returns:
        the same, with the config keys that `Target` has.
    Raises:
        ValueError: for an entry that is none, or two of one name.
    """
    known = {'model', 'ckpt', 'preprocessor', 'input_size', 'classes'}
    entries = {}
    if short['model'] is not None:
        entries['teacher'] = dict(
            short,
            setting='model.teacher',
            setting_ckpt='model.teacher_ckpt',
            setting_preprocessor='model.teacher_preprocessor',
        )
    for name, entry in (teachers or {}).items():
        where = f'model.teachers.{name}'
        if not name.isidentifier() or hasattr(nn.ModuleDict(), name):
            raise ValueError(
                f'{where} needs a name that is a word of its own, which no '
                f'module has as an attribute, got {name!r}; choose another'
            )
        if name in entries:
            raise ValueError(
                f'{where} and model.teacher have one name; choose another, or '
                'leave one of the two out'
            )
        unknown = sorted(set(entry) - known) if isinstance(entry, dict) else []
        if not isinstance(entry, dict) or 'model' not in entry or unknown:
            raise ValueError(
                f'{where} is dict(model=..., ckpt=..., preprocessor=..., '
                'input_size=..., classes=...), of which model must be there; '
                'got '
                + (f'{unknown} besides' if unknown else repr(entry)[:80])
            )
        entries[name] = dict(
            entry,
            setting=f'{where}.model',
            setting_ckpt=f'{where}.ckpt',
            setting_preprocessor=f'{where}.preprocessor',
        )
    return entries
