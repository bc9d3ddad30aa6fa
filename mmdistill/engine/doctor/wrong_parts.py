"""Types that nobody registered, and arguments that no constructor takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine.registry import Registry
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmdistill import registry as ours
from mmdistill.engine.doctor.accepted_arguments import accepted
from mmdistill.engine.doctor.finding import (
    Finding,
    did_you_mean,
    did_you_mean_or_list,
)
from mmdistill.engine.doctor.named_types import names_a_model, registered
from mmdistill.engine.doctor.typed_parts import LOSS_CHOICES, Part, parts
from mmdistill.engine.hook_keys import wrong_keys as wrong_hook_keys
from mmdistill.engine.settings import wrong_keys
from mmdistill.models.zoo.names import OWN_OPTIONS, find_library

#: Settings that are no parts: their key, and what they take.
_SETTINGS = {
    'randomness': Runner.set_randomness,
    'env_cfg': {
        'cudnn_benchmark',
        'dist_cfg',
        'mp_cfg',
        'resource_limit',
    },
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
    'auto_scale_lr': {'base_batch_size', 'enable'},
}
#: How near a name is to an argument's to be a misspelling for certain.
_SAME = 0.9
#: What MMEngine reads of a dataloader before torch does.
_OF_DATALOADERS = {'num_batch_per_epoch'}


def wrong_names(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Whatever is misspelt, at every level of a config.

    Args:
        cfg: the resolved config.
    """
    for key, text in wrong_keys(cfg).items():
        yield Finding(key, text)
    hooks = [cfg.get(f'{name}_hooks') for name in ('default', 'custom')]
    wrong = wrong_hook_keys(*hooks, cfg.get('method_hooks'))
    for key, text in wrong.items():
        yield Finding(f'default_hooks.{key}', text)
    yield from _wrong_settings(cfg)
    yield from _wrong_model_names(cfg.get('model'), 'model')
    for part in parts(cfg):
        yield from _wrong_part(part)


def _wrong_part(part: Part) -> Iterator[Finding]:
    kind = part.kind
    if kind is None:
        near = did_you_mean('type', part.cfg)
        yield Finding(
            part.key,
            f'it needs a type, one that is registered as {part.registry.name}'
            + near.replace('did you mean', 'is it meant by'),
        )
        return
    if part.registry is ours.MODELS and names_a_model(kind):
        yield from _unlike_options(part, OWN_OPTIONS)
        return
    cls = registered(part.registry, kind)
    if cls is None:
        yield from _unknown_type(part, kind)
    else:
        yield from _unknown_arguments(part, cls)


def _unknown_type(part: Part, kind: str) -> Iterator[Finding]:
    is_loss = part.further is LOSS_CHOICES
    known = _names(part.registry, losses=is_loss)
    what = 'loss' if is_loss else part.registry.name
    near = did_you_mean(kind.rpartition('.')[2], known)
    own = (
        ' A class of your own is registered by its module, which '
        'custom_imports has to name'
    )
    yield Finding(
        f'{part.key}.type',
        f'{kind!r} is not registered as {what}{near or "."}{own}',
    )


def _unknown_arguments(part: Part, cls: Any) -> Iterator[Finding]:
    takes = accepted(cls)
    known = (takes.names | part.further) - {'args', 'kwargs'}
    name = getattr(cls, '__name__', str(cls))
    for key in part.cfg:
        if key in known or key in ('type', '_scope_'):
            continue
        # What may take anything is meant to take what is nearly its own.
        near = did_you_mean(key, known, _SAME if takes.any_other else 0.55)
        if takes.any_other and not near:
            continue
        listed = did_you_mean_or_list(key, known - part.cfg.keys(), 0.55)
        yield Finding(
            f'{part.key}.{key}', f'{name} takes no {key!r}{near or listed}'
        )


def _unlike_options(part: Part, known: Iterable[str]) -> Iterator[Finding]:
    """Options that are nearly ours; others are the library's to check."""
    for key in part.cfg:
        near = did_you_mean(key, known, _SAME)
        if near and key not in known:
            yield Finding(
                f'{part.key}.{key}', f'{part.kind!r} takes no {key!r}{near}'
            )


def _names(registry: Registry, losses: bool = False) -> set[str]:
    """All that is registered, here and in the parents."""
    names: set[str] = set()
    at: Registry | None = registry
    while at is not None:
        names |= {
            name
            for name, cls in at.module_dict.items()
            if not losses or hasattr(cls, 'level')
        }
        at = at.parent
    return names


def _wrong_settings(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Unknown keys of dictionaries that nothing is built from."""
    for key, takes in _SETTINGS.items():
        value: Any = cfg
        for name in key.split('.'):
            value = value.get(name) if isinstance(value, Mapping) else None
        known = takes
        if callable(takes):
            known = {*inspect.signature(takes).parameters} - {'self'}
        yield from _not_among(key, value, known)
    known = {*inspect.signature(DataLoader).parameters} | _OF_DATALOADERS
    for name in cfg:
        if name.endswith('_dataloader'):
            yield from _not_among(name, cfg[name], known)


def _not_among(key: str, value: Any, known: set[str]) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        return
    for name in value:
        if name not in known:
            near = did_you_mean_or_list(name, known)
            yield Finding(
                f'{key}.{name}', f'there is no setting {name!r}{near}'
            )


def _wrong_model_names(value: Any, key: str) -> Iterator[Finding]:
    """Models given by a name that no library has."""
    if isinstance(value, nn.Module) or not value:
        return
    if isinstance(value, str):
        yield from _wrong_model_name(value, key)
    elif isinstance(value, Mapping):
        kind = value.get('type')
        if names_a_model(kind):
            yield from _wrong_model_name(kind, f'{key}.type')
        for name in ('student', 'teacher'):
            yield from _wrong_model_names(value.get(name), f'{key}.{name}')
        for name, entry in (value.get('teachers') or {}).items():
            if isinstance(entry, Mapping):
                where = f'{key}.teachers.{name}.model'
                yield from _wrong_model_names(entry.get('model'), where)


def _wrong_model_name(name: str, key: str) -> Iterator[Finding]:
    if name.endswith(('.pth', '.pt')):
        return  # a file, see `missing_files`
    try:
        find_library(name)
    except (ValueError, ImportError) as error:
        yield Finding(key, str(error))
