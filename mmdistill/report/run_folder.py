"""What a run left in its work folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from mmdistill.config import from_file

#: Where the weights of a finished run are, the best choice first.
_WEIGHTS = 'student_best.pth', 'student.pth', 'best_*.pth', '*.pth'


@dataclass
class RunFolder:
    """A work folder, read.

    Attributes:
        path: the folder.
        cfg: config of the training.
        weights: file of the student or of the whole model; None if there is
            none.
        training, validation: records of the log, each a dict of numbers with
            ``step``.
    """

    path: Path
    cfg: Config
    weights: Path | None
    training: list[dict] = field(default_factory=list)
    validation: list[dict] = field(default_factory=list)

    @property
    def metric(self) -> str | None:
        """The metric that says how good a model is; None if none is there.

        It is the one that decides about the best checkpoint, else the first.
        """
        hooks = self.cfg.get('default_hooks') or {}
        named = (hooks.get('checkpoint') or {}).get('save_best')
        named = (hooks.get('export_student') or {}).get('metric', named)
        found = metric_names(self.validation)
        return named if named in found else next(iter(found), None)

    def best(self, values: list[float]) -> float:
        """The best of a metric's values, as the best checkpoint is chosen."""
        hooks = self.cfg.get('default_hooks') or {}
        rule = (hooks.get('checkpoint') or {}).get('rule')
        greater = (hooks.get('export_student') or {}).get('greater', True)
        return (min if rule == 'less' or not greater else max)(values)

    def values(self, name: str) -> list[float]:
        """A metric's values in the order of the validations."""
        return [r[name] for r in self.validation if name in r]

    def of_teachers(self, metric: str) -> dict[str, str]:
        """What a metric of teachers is called in the log, by their names."""
        names = dict.fromkeys(key for r in self.validation for key in r)
        return {
            name.removesuffix(f'/{metric}'): name
            for name in names
            if name.endswith(f'/{metric}')
        }


def read_run(path: str | Path, config: str | Path | None = None) -> RunFolder:
    """Read a work folder.

    Args:
        path: the folder.
        config: config file of the training; by default the one that the run
            has written there.
    Raises:
        FileNotFoundError: if there is no such folder, or no config in it.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(
            f'the work folder {str(path)!r} is no folder; give one that a '
            'training has written'
        )
    cfg = from_file(config or _dumped(path))
    training, validation = read_log(path)
    found = (sorted(path.glob(name), key=_age) for name in _WEIGHTS)
    files = [files[-1] for files in found if files]
    return RunFolder(
        path, cfg, files[0] if files else None, training, validation
    )


def read_log(path: Path) -> tuple[list[dict], list[dict]]:
    """Records of training and of validation of all runs in a folder.

    Where a run began anew, or went on from an earlier step, what an older one
    has recorded behind that step does not count.
    """
    training: list[dict] = []
    validation: list[dict] = []
    for file in sorted(path.glob('*/vis_data/scalars.json')):
        records = [json.loads(line) for line in file.read_text().splitlines()]
        new = [r for r in records if 'lr' in r]
        if not new:
            continue  # a test
        training = _joined(training, new)
        rest = (r for r in records if 'lr' not in r and 'step' in r)
        validation = _joined(validation, list(rest))
    return training, validation


def metric_names(records: Iterable[dict]) -> list[str]:
    """Names of what validation measures of the student, in their order."""
    names = dict.fromkeys(key for record in records for key in record)
    return [
        name
        for name in names
        if name not in ('step', 'time', 'data_time', 'epoch', 'iter')
        and name.count('/') < 2  # teacher/accuracy/top1
    ]


def _joined(old: list[dict], new: list[dict]) -> list[dict]:
    first = new[0]['step'] if new else float('inf')
    return [r for r in old if r['step'] < first] + new


def _dumped(path: Path) -> Path:
    """The config that the latest training in a folder has written."""
    found = sorted(path.glob('*.py'), key=_age)
    found = found or sorted(path.glob('*/vis_data/config.py'), key=_age)
    if not found:
        raise FileNotFoundError(
            f'{str(path)!r} has no config (*.py) of a training; give the '
            'work folder of a run, or the config with --config'
        )
    return found[-1]


def _age(path: Path) -> float:
    return path.stat().st_mtime
