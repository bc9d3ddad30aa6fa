"""Metrics that hooks and schedulers wait for, against those reported."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mmpretrain.evaluation import Accuracy, SingleLabelMetric

from mmdistill import registry as ours
from mmdistill.engine.doctor.finding import Finding, did_you_mean_or_list
from mmdistill.engine.doctor.named_types import registered
from mmdistill.engine.doctor.typed_parts import Part, parts


def _of_accuracy(
    topk: int | Sequence[int] = (1,), thrs: Any = 0.0, **_: Any
) -> list[str]:
    tops = (topk,) if isinstance(topk, int) else topk
    names = [f'top{k}' for k in tops]
    if isinstance(thrs, (list, tuple)) and len(thrs) > 1:
        return [f'{name}_thr-*' for name in names] + [
            f'{name}_no-thr' for name in names
        ]
    return names


def _of_single_label(
    items: Sequence[str] = ('precision', 'recall', 'f1-score'),
    average: str | None = 'macro',
    thrs: Any = 0.0,
    **_: Any,
) -> list[str]:
    ends = {None: '_classwise', 'micro': '_micro'}.get(average, '')
    several = isinstance(thrs, (list, tuple)) and len(thrs) > 1
    return [f'{item}*' if several else f'{item}{ends}' for item in items]


#: What MMPretrain's metrics report, by their settings; patterns, as those
#: that our classes give as `reported`.
_REPORTED: dict[type, Callable[..., list[str]]] = {
    Accuracy: _of_accuracy,
    SingleLabelMetric: _of_single_label,
}


def unreported_metrics(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Names of metrics that no validation will report.

    What a metric or a loop of another library reports is not known; a config
    with one of them is let pass.
    """
    watched = [*_watched(cfg)]
    if not watched or cfg.get('val_cfg') is None:
        return
    reported = reported_metrics(cfg)
    if reported is None:
        return
    for key, name in watched:
        if not any(fnmatch.fnmatchcase(name, known) for known in reported):
            near = did_you_mean_or_list(name, reported, 0.5)
            yield Finding(key, f'validation reports no {name!r}{near}')


def reported_metrics(cfg: Mapping[str, Any]) -> list[str] | None:
    """Patterns of what a validation reports; None if it is not known."""
    names: list[str] = []
    for part in parts(cfg):
        is_metric = part.key.startswith('val_evaluator')
        is_loop = part.key == 'val_cfg'
        if is_metric and part.registry is not ours.EVALUATORS or is_loop:
            found = _reported(part, is_loop)
            if found is None:
                return None
            names += found
    return names


def _reported(part: Part, is_loop: bool) -> list[str] | None:
    cls = registered(part.registry, part.kind)
    settings = {k: v for k, v in part.cfg.items() if k != 'type'}
    if is_loop and cls is ours.LOOPS.get('ValLoop'):
        return []
    tells = _REPORTED.get(cls) or getattr(cls, 'reported', None)
    if tells is None:
        return None
    names = tells(**settings)
    if is_loop:
        return names
    prefix = settings.get('prefix') or cls.default_prefix
    return [f'{prefix}/{name}' if prefix else name for name in names]


def _watched(cfg: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every metric that a hook or a scheduler asks for, by its key."""
    hooks = cfg.get('default_hooks') or {}
    items = [(f'default_hooks.{name}', hook) for name, hook in hooks.items()]
    custom = enumerate(cfg.get('custom_hooks') or ())
    items += [(f'custom_hooks.{i}', hook) for i, hook in custom]
    schedulers = cfg.get('param_scheduler') or ()
    if isinstance(schedulers, (list, tuple)):
        numbered = enumerate(schedulers)
        items += [(f'param_scheduler.{i}', one) for i, one in numbered]
    for key, item in items:
        if not isinstance(item, Mapping):
            continue
        best = item.get('save_best')
        for name in [best] if isinstance(best, str) else best or ():
            if name != 'auto':
                yield f'{key}.save_best', name
        kind = str(item.get('type', '')).rpartition('.')[2]
        if kind == 'ExportStudentHook' and 'metric' in item:
            yield f'{key}.metric', item['metric']
        if kind == 'EarlyStoppingHook' and 'monitor' in item:
            yield f'{key}.monitor', item['monitor']
        if kind.startswith('ReduceOnPlateau') and item.get('monitor'):
            monitor = item['monitor']
            if not monitor.startswith(('loss', 'train')):
                yield f'{key}.monitor', monitor
