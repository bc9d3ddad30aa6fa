"""Settings of runs: compared with each other and with what is known."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.runner import Runner

#: Top-level keys that are read besides the arguments of runners.
OTHER_KEYS = {
    'compile',
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}
_CLOSE = 0.9


def known_keys() -> set[str]:
    """Top-level keys of a config that mean something to a run."""
    arguments = set(inspect.signature(Runner.__init__).parameters)
    return OTHER_KEYS | arguments - {'self', 'cfg'}


def wrong_keys(cfg: Mapping[str, Any]) -> dict[str, str]:
    """Top-level keys that are misspelt, or missing, and what to do.

    Variables of one's own are no settings, unless their name is nearly that
    of a setting.
    """
    known = known_keys()
    found = {}
    for key in cfg:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=_CLOSE)
        if near:
            found[key] = (
                f'nothing reads the top-level key {key!r}; did you mean '
                f'{near[0]!r}? If it is a variable of your own, give it '
                'another name'
            )
    if 'model' not in cfg:
        near = difflib.get_close_matches('model', list(cfg), n=3, cutoff=0.6)
        found['model'] = 'the config has no model; ' + (
            f'did you mean it by {near}?' if near else 'set it'
        )
    return found


def flat(value: Any, prefix: str = '') -> dict[str, Any]:
    """Every single setting by its path: ``model.losses.kd.temperature``."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    if not items or not len(value):
        empty = isinstance(value, (list, tuple))
        return {prefix: [] if empty else value}
    found = {}
    for key, item in items:
        found.update(flat(item, f'{prefix}.{key}' if prefix else str(key)))
    return found


def differences(old: dict, new: dict) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, by path: the old and the new value.

    Lists and tuples of the same values are the same. A setting that one side
    lacks is '(not set)' there.
    """
    old, new = flat(old), flat(new)
    absent = '(not set)'
    return {
        key: (old.get(key, absent), new.get(key, absent))
        for key in sorted({*old, *new})
        if repr(old.get(key, absent)) != repr(new.get(key, absent))
    }
