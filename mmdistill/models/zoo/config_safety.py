"""Configs of checkpoints whose models are built: by whom they may be."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from mmdistill import registry
from mmdistill.checkpoints import CheckpointError, checkpoints_are_trusted
from mmdistill.models.zoo.library import LIBRARY_NAMES

_SCOPES = ('mmengine', 'mmpretrain', 'mmdistill')
_NAMED = tuple(f'{name}/' for name in LIBRARY_NAMES)
_ADVICE = (
    'Give --config with the config of its training, or, if you trust its '
    'origin, --trust-checkpoints.'
)


def require_harmless(cfg: Config, name: str) -> None:
    """Refuse a stranger's config that would run code when it is built.

    A ``type`` with dots in it calls any function there is, so the model's
    types must be names in a registry, and ``custom_imports`` are imported
    only if checkpoints are trusted, which allows both.

    Args:
        cfg: the config in a checkpoint.
        name: what error messages call the checkpoint; its path.
    Raises:
        CheckpointError: if it has imports, or types that no registry has.
    """
    imports = cfg.get('custom_imports')
    if checkpoints_are_trusted():
        if imports:
            import_modules_from_strings(**imports)
        return
    if imports:
        raise CheckpointError(
            f'the config in {name} imports {imports["imports"]}. ' + _ADVICE
        )
    require_registered(cfg.get('model'), f'the model in {name}')


def require_registered(part: object, name: str) -> None:
    """Refuse a stranger's part of a config that names a function.

    Args:
        part: of a config, such as a model or a pipeline.
        name: what error messages call it.
    Raises:
        CheckpointError: if it has types that no registry has, and checkpoints
            are not trusted.
    """
    if checkpoints_are_trusted():
        return
    unknown = sorted(set(_types(part)) - _registered())
    if unknown:
        raise CheckpointError(
            f'{name} has the types {unknown[:8]}, which no registry has. '
            + _ADVICE
        )


def _types(value: object) -> Iterator[str]:
    """Every ``type`` in a part of a config, without our scopes."""
    if isinstance(value, dict):
        kind = value.get('type')
        if kind is not None:
            scope, _, rest = str(kind).partition('.')
            # What a library builds by name runs no code but its own.
            if not str(kind).startswith(_NAMED):
                yield rest if scope in _SCOPES else str(kind)
        for item in value.values():
            yield from _types(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _types(item)


def _registered() -> set[str]:
    names = set()
    for name in registry.__all__:
        part = getattr(registry, name)
        while part is not None:
            names |= set(part.module_dict)
            part = part.parent
    return names
