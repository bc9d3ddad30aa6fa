"""Hooks by key: ``default_hooks`` has all of ours, ``custom_hooks`` none."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmdistill.engine.hooks import (
    ClassNamesHook,
    CollapseMonitorHook,
    ExportStudentHook,
    FiniteLossHook,
    ReportHook,
    ResumedSettingsHook,
    ResumeStateHook,
    TeacherCheckHook,
)

#: What MMEngine's runner registers without being asked.
MMENGINE_KEYS = {
    'runtime_info': 'RuntimeInfoHook',
    'timer': 'IterTimerHook',
    'sampler_seed': 'DistSamplerSeedHook',
    'logger': 'LoggerHook',
    'param_scheduler': 'ParamSchedulerHook',
    'checkpoint': 'CheckpointHook',
}
#: What `DistillRunner` registers besides.
EVERY_RUN = {
    'resume_state': ResumeStateHook,
    'finite_loss': FiniteLossHook,
    'class_names': ClassNamesHook,
    'resumed_settings': ResumedSettingsHook,
}
#: What runtime configs name.
OF_CONFIGS = {
    'visualization': 'mmpretrain.VisualizationHook',
    'teacher_check': TeacherCheckHook,
    'export_student': ExportStudentHook,
    'collapse_monitor': CollapseMonitorHook,
    'report': ReportHook,
}
_KNOWN = {**MMENGINE_KEYS, **EVERY_RUN, **OF_CONFIGS}
_CLOSE = 0.75


def by_key(
    default_hooks: Mapping[str, Hook | dict | None] | None,
    custom_hooks: Sequence[Hook | dict | str] | None,
    method_hooks: Mapping[str, dict] | None = None,
) -> tuple[dict[str, Hook | dict | None], list[Hook | dict]]:
    """The hooks of a run: by key, and the user's own.

    What a key says completes what the hook of that key says by itself:
    ``finite_loss=dict(interval=10)``. None leaves a hook out.

    ``custom_hooks`` as the first edition's configs had it, with our hooks
    among the user's, is understood for one release, with a warning.

    Args:
        default_hooks, custom_hooks: of the config.
        method_hooks: those that its method defines, for old configs.
    Raises:
        KeyError: for a key that is misspelt.
    """
    hooks: dict[str, Any] = {
        key: dict(type=kind) for key, kind in EVERY_RUN.items()
    }
    given = dict(default_hooks or {})
    given, custom_hooks = _modern(given, custom_hooks or (), method_hooks)
    there = {*_KNOWN, *(method_hooks or {})}
    there |= {k for k, v in given.items() if not _lacks_type(v)}
    for key, hook in given.items():
        if isinstance(hook, Hook):
            _check_type(key, dict(type=type(hook)), there)
            hooks[key] = hook
        elif hook is None:
            _check_known(key)
            hooks.pop(key, None)
            if key in MMENGINE_KEYS:
                hooks[key] = None
        elif not isinstance(hook, Mapping):
            raise TypeError(
                f'default_hooks.{key} is a hook, a dict of its settings or '
                f'None, got {hook!r}'
            )
        else:
            _check_type(key, hook, there)
            hooks[key] = {'type': _KNOWN.get(key), **hook}
    return hooks, custom_hooks


def type_of_key(key: str) -> Any:
    """The type that a hook of this key has unless it names one, if any."""
    return _KNOWN.get(key)


def wrong_keys(
    default_hooks: Mapping[str, Hook | dict | None] | None,
    custom_hooks: Sequence[Hook | dict | str] | None,
    method_hooks: Mapping[str, dict] | None = None,
) -> dict[str, str]:
    """Every key that `by_key` refuses, and why."""
    given = default_hooks or {}
    there = {*_KNOWN, *(method_hooks or {})}
    there |= {key for key, hook in given.items() if not _lacks_type(hook)}
    # What the first edition had in custom_hooks has a key, too.
    moved = (h for h in custom_hooks or () if not isinstance(h, str))
    there |= {key for hook in moved if (key := _key_of(hook)) is not None}
    found = {}
    for key, hook in given.items():
        try:
            if hook is None:
                _check_known(key)
            elif isinstance(hook, Mapping):
                _check_type(key, hook, there)
        except KeyError as error:
            found[key] = error.args[0]
    return found


def _lacks_type(hook: Any) -> bool:
    """Whether an entry only changes or removes a hook that is there."""
    return hook is None or (isinstance(hook, Mapping) and 'type' not in hook)


def _check_known(key: str) -> None:
    # What a base had under a key of its own is not seen any more.
    near = difflib.get_close_matches(key, _KNOWN, 3, _CLOSE)
    if key not in _KNOWN and near:
        raise KeyError(
            f'default_hooks.{key} takes a hook out, but there is none of this '
            f'key; did you mean {" or ".join(near)}?'
        )


def _check_type(key: str, hook: Mapping, there: set[str]) -> None:
    """Raise if a key is another one misspelt.

    Args:
        key, hook: an entry of ``default_hooks``.
        there: keys of hooks that are there, or could be.
    """
    if key in _KNOWN:
        return
    kind = hook.get('type')
    if kind is None:
        near = difflib.get_close_matches(key, there - {key}, 3, 0.5)
        raise KeyError(
            f'default_hooks.{key} has no type, and no hook of this key is '
            f'there to be changed; '
            + (
                f'did you mean {" or ".join(near)}?'
                if near
                else f'there are {sorted(there)}'
            )
        )
    same = [k for k, v in _KNOWN.items() if _name(kind) == _name(v)]
    if difflib.get_close_matches(key, same, 1, _CLOSE):
        raise KeyError(
            f'default_hooks.{key} would be a second {_name(kind)}; did you '
            f'mean {same[0]}?'
        )


def _modern(
    given: dict[str, Any],
    custom_hooks: Sequence[Hook | dict | str],
    method_hooks: Mapping[str, dict] | None,
) -> tuple[dict[str, Any], list[Hook | dict]]:
    """Move what belongs into ``default_hooks`` there.

    A key holds one hook: a second one of a type is the user's own.
    """
    of_user, moved = [], set()
    for hook in custom_hooks:
        if isinstance(hook, str):  # [*_base_.method_hooks] of a dict
            key = hook
            if key not in (method_hooks or {}):
                raise KeyError(
                    f'custom_hooks names {key!r}, which method_hooks does '
                    f'not have; it has {sorted(method_hooks or {})}'
                )
            hook = method_hooks[key]
        else:
            key = _key_of(hook)
        if key is None or key in moved:
            of_user.append(hook)
            continue
        given[key] = hook
        moved.add(key)
        print_log(
            f'{_name(_kind_of(hook))} stands in custom_hooks, which is for '
            f'hooks of your own: write default_hooks=dict({key}=dict(...)), '
            'or default_hooks=_base_.method_hooks for all of a method',
            logger='current',
            level=logging.WARNING,
        )
    return given, of_user


def _key_of(hook: Hook | dict) -> str | None:
    """The key that a hook's type has in ``default_hooks``, if it has one."""
    for key, kind in {**EVERY_RUN, **OF_CONFIGS}.items():
        if _name(_kind_of(hook)) == _name(kind):
            return key
    return None


def _kind_of(hook: Hook | Mapping) -> Any:
    return type(hook) if isinstance(hook, Hook) else hook.get('type')


def _name(kind: Any) -> str:
    """A type without its scope."""
    return getattr(kind, '__name__', str(kind)).rpartition('.')[2]
