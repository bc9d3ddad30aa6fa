"""What the doctor finds when it builds the data and the model."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdistill.checkpoints import classes_of, load_checkpoint
from mmdistill.engine.command import message_of
from mmdistill.engine.dataloaders import build_dataloader
from mmdistill.engine.doctor.dry_step import (
    build_model,
    dry_step,
    memory_bytes,
)
from mmdistill.engine.doctor.finding import Finding
from mmdistill.engine.doctor.step_counts import StepCounts, uneven_steps
from mmdistill.engine.hooks.class_names_hook import class_names, difference
from mmdistill.engine.run_config import (
    leave_out_teachers,
    set_dataloader_defaults,
)
from mmdistill.engine.utils import frozen_targets, student_of
from mmdistill.utils.text import shown

#: Numbers that an optimizer keeps for each weight.
_STATES = dict(SGD=1, Adam=2, AdamW=2, NAdam=2, RAdam=2, LARS=1, Lion=1)
#: Images of the small step, unless a loss needs more; the whole batch, if
#: that takes no longer than so many seconds.
_FEW, _SOON = 8, 2.0
#: Banks above this many bytes are not made for the dry step.
_LARGEST = 4 << 30


@dataclass
class Examination:
    """What is fine, and what is not.

    Attributes:
        lines: facts, in words.
        findings: mistakes and warnings.
    """

    lines: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def examine(
    cfg: Config, processes: int = 1, known: Sequence[Finding] = ()
) -> Examination:
    """Build the data and the model of a config, and take one small step.

    Nothing is trained or written. It takes as long as reading the data and
    building the model do, and some seconds.

    Args:
        cfg: the resolved config, in which nothing is misspelt.
        processes: that will train, for the batch and the number of steps.
        known: what `diagnose` found; data with a mistake is not built.
    """
    init_default_scope(cfg.get('default_scope') or 'mmdistill')
    cfg = copy.deepcopy(cfg)
    set_dataloader_defaults(cfg)
    if any(finding.key.startswith('model.teacher') for finding in known):
        leave_out_teachers(cfg.model)  # what is missing is said already
    found = Examination()
    data = counts = None
    for name in ('train', 'val'):
        key = f'{name}_dataloader'
        if any(f.is_error and f.key.startswith(key) for f in known):
            continue
        with _told(found, key):
            loader = cfg.get(key) and build_dataloader(cfg[key], seed=0)
            if loader:
                found.lines.append(_data(name, loader.dataset))
            if loader and name == 'train':
                data = loader.dataset
                counts = StepCounts.of(cfg, len(data), processes)
                found.lines.append(str(counts))
                found.findings += uneven_steps(cfg, counts)
    with _told(found, 'model'):
        model = build_model(cfg)
        found.lines.append(_parameters(model))
        if data is not None:
            found.findings += _teachers(model, data)
            found.lines += _step(cfg, model, counts)
    return found


class _told:
    """Makes an error of its body a finding."""

    def __init__(self, found: Examination, key: str) -> None:
        self.found, self.key = found, key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if not isinstance(error, Exception):
            return False
        self.found.findings.append(Finding(self.key, message_of(error)))
        return True


def _data(name: str, dataset: Any) -> str:
    dataset[0]  # through the whole pipeline
    names = class_names(dataset)
    classes = f', {len(names)} classes ({shown(names)})' if names else ''
    return f'{name} data: {len(dataset)} samples{classes}'


def _parameters(model: Any) -> str:
    def count(part: Any, learns: Callable[[Any], bool]) -> int:
        return sum(p.numel() for p in part.parameters() if learns(p))

    learning = count(model, lambda p: p.requires_grad)
    student = count(student_of(model), lambda p: True)
    text = f'model: {_short(student)} parameters of what is exported'
    if learning != student:
        text += f', {_short(learning)} learn'
    frozen = {
        name: count(target.model, lambda p: True)
        for name, target in frozen_targets(model).items()
    }
    for name, number in frozen.items():
        text += f', {_short(number)} frozen of {name}'
    return text


def _teachers(model: Any, data: Any) -> Iterator[Finding]:
    """Teachers whose classes are not the training's, by their names."""
    names = class_names(data)
    for target in frozen_targets(model).values():
        ckpt = target.ckpt
        if names is None or ckpt is None or not os.path.isfile(ckpt):
            continue
        checkpoint = load_checkpoint(ckpt)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        theirs = classes_of(meta)
        if theirs not in (None, names):
            losses = model.losses_on_scores_of(target.name)
            yield Finding(
                target.setting_ckpt,
                f'the classes of {ckpt!r} are not those of '
                f'train_dataloader.dataset: {difference(theirs, names)} (the '
                'first is the teacher)'
                + (
                    f'. The losses {losses} compare class scores one by one: '
                    'train a teacher on these classes, use losses of features '
                    "alone, or give the dataset the teacher's names as "
                    'metainfo=dict(classes=...)'
                    if losses
                    else ''
                ),
                is_error=bool(losses),
            )


def _step(cfg: Config, model: Any, counts: StepCounts) -> Iterator[str]:
    banks = memory_bytes(model, counts.samples)
    if banks:
        yield f'memory of losses: {_bytes(banks)} in banks and queues'
    if banks > _LARGEST:
        yield 'memory of training: not measured, as the banks are large'
        return
    learning = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    weights = sum(p.nbytes for p in model.parameters()) + sum(
        p.nbytes
        for target in frozen_targets(model).values()
        for p in target.model.parameters()
    )
    loader = cfg.train_dataloader
    step = dry_step(model, loader, _FEW)
    if step.seconds * counts.batch / step.images < _SOON:
        step = dry_step(model, loader, counts.batch)
    wrapper: Mapping[str, Any] = cfg.get('optim_wrapper') or {}
    kind = str((wrapper.get('optimizer') or {}).get('type'))
    states = _STATES.get(kind.rpartition('.')[2], 2)
    scale = counts.batch / step.images
    activations = int(scale * step.activations)
    total = weights + banks + activations + (1 + states) * learning
    yield (
        f'memory of training: about {_bytes(total)} a process for '
        f'{counts.batch} images: {_bytes(activations)} of activations, '
        f'{_bytes(weights)} of weights, {_bytes((1 + states) * learning)} of '
        'gradients and optimizer'
    )
    seconds = scale * step.seconds
    text = (
        f'time: about {seconds:.2g} s a step on this {step.device}, without '
        'the data'
    )
    if counts.steps is not None:
        text += f'; {_duration(seconds * counts.steps)} for all'
    yield f'{text} (from {step.images} images)'


def _short(number: float) -> str:
    """12.3 million, say."""
    for size, name in ((1e9, ' billion'), (1e6, ' million'), (1e3, ' k')):
        if number >= size:
            return f'{number / size:.3g}{name}'
    return str(number)


def _bytes(number: float) -> str:
    for size, name in ((1 << 30, 'GiB'), (1 << 20, 'MiB'), (1 << 10, 'KiB')):
        if number >= size:
            return f'{number / size:.3g} {name}'
    return f'{number} bytes'


def _duration(seconds: float) -> str:
    for size, name in ((86400, 'days'), (3600, 'hours'), (60, 'minutes')):
        if seconds >= 2 * size:
            return f'{seconds / size:.2g} {name}'
    return f'{seconds:.2g} seconds'
