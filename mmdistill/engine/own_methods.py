"""Methods by name for one's own images: which fit, and their numbers."""

from __future__ import annotations

import copy
import difflib
from dataclasses import dataclass, field
from typing import Any

from mmdistill.config import shipped
from mmdistill.engine.config_files import read_config
from mmdistill.models.losses.distill_loss import DistillLoss, Phase
from mmdistill.models.losses.lookup import loss_class

#: The student alone.
TASK = 'task'
_OFFLINE = ('OfflineDistiller', 'CoCoRD')


class MethodError(ValueError):
    """A method that does not fit the images or the teacher; which do."""


@dataclass
class Method:
    """A method of ``configs/_base_/methods``.

    Attributes:
        name: its file's.
        settings: its ``method`` dict.
        hooks: its ``method_hooks``.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    hooks: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The distiller's type."""
        return self.settings.get('type', 'OfflineDistiller')

    @property
    def losses(self) -> dict[str, dict]:
        return self.settings.get('losses', {})

    def classes_of_losses(self) -> dict[str, type[DistillLoss]]:
        return {n: loss_class(n, cfg) for n, cfg in self.losses.items()}

    @property
    def needs_labels(self) -> bool:
        """Whether it learns a task, or a loss asks for classes."""
        if self.name == TASK or self.settings.get('task_weight'):
            return True
        return any(
            'label' in kind.requires
            and self.losses[name].get('exclude_class') is not False
            for name, kind in self.classes_of_losses().items()
        )

    @property
    def compares_scores(self) -> bool:
        """Whether a loss compares class scores with the teacher's."""
        return any(
            cfg.get('level', kind.level) == 'logits'
            for cfg, kind in zip(
                self.losses.values(),
                self.classes_of_losses().values(),
                strict=True,
            )
        )

    @property
    def needs_teacher(self) -> bool:
        return self.name != TASK

    @property
    def views(self) -> int:
        """How many crops of an image it wants."""
        return 2 if self.kind == 'CoCoRD' else 1

    def warmup(self) -> bool:
        """Whether a loss has a warm-up phase."""
        return any(
            Phase.WARMUP in kind.phases
            for kind in self.classes_of_losses().values()
        )

    def fits(self) -> bool:
        """Whether a frozen teacher and one student are all it needs."""
        if self.compares_scores and not self.settings.get('task_weight'):
            return False  # scores of prototypes, not of classes
        return self.kind in _OFFLINE and all(
            kind.compares != 'peers'
            for kind in self.classes_of_losses().values()
        )

    def capped(self, count: int, batch_size: int) -> dict[str, tuple]:
        """Numbers that are too large for so few images, and what they become.

        A queue or a bank beyond the images would hold the same ones again.

        Args:
            count: of training images.
            batch_size: queues are multiples of it.
        Returns:
            path in the model to (number of the method, number here).
        """
        found = {}
        for name, cfg in self.losses.items():
            queue, negatives = cfg.get('queue_size'), cfg.get('num_negatives')
            if queue and queue > count // 2:
                size = max(batch_size, count // 2 // batch_size * batch_size)
                found[f'losses.{name}.queue_size'] = queue, size
            if negatives and negatives > count // 2:
                found[f'losses.{name}.num_negatives'] = negatives, count // 2
        return found


def load_method(name: str) -> Method:
    """A method by its name, 'task' for the student alone.

    Raises:
        MethodError: for an unknown one, or one that a frozen teacher and a
            student are not enough for; it says which do.
    """
    if name == TASK:
        return Method(TASK)
    path = shipped('configs') / '_base_' / 'methods' / f'{name}.py'
    if not path.is_file():
        known = list_methods()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise MethodError(
            f'there is no method {name!r}'
            + (f'; did you mean {" or ".join(near)}?' if near else '')
            + f' Methods are: {", ".join(known)}'
        )
    method = _read(name)
    if not method.fits():
        raise MethodError(
            f'the method {name!r} ({method.kind}) is not made for a frozen '
            f'teacher and one student; configs/ has runs of it. Choose one '
            f'of: {", ".join(list_methods())}'
        )
    return method


def list_methods(labels: bool = True, scores: bool = True) -> list[str]:
    """Names of the methods for a frozen teacher and a student.

    Args:
        labels: False for those that need none.
        scores: False for those that compare no class scores.
    """
    folder = shipped('configs') / '_base_' / 'methods'
    found = [TASK] if labels else []
    for path in sorted(folder.glob('*.py')):
        method = _read(path.stem)
        if (
            method.losses
            and method.fits()
            and (labels or not method.needs_labels)
            and (scores or not method.compares_scores)
        ):
            found.append(method.name)
    return found


def _read(name: str) -> Method:
    cfg = read_config(f'mmdistill::_base_/methods/{name}.py').to_dict()
    return Method(
        name,
        copy.deepcopy(cfg.get('method', {})),
        copy.deepcopy(cfg.get('method_hooks', {})),
    )
