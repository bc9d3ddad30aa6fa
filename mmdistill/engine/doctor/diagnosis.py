"""All that can be wrong with a config, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdistill.engine.doctor.class_folders import wrong_classes
from mmdistill.engine.doctor.finding import ConfigError, Finding
from mmdistill.engine.doctor.half_loops import half_loops
from mmdistill.engine.doctor.missing_files import missing_files
from mmdistill.engine.doctor.watched_metrics import unreported_metrics
from mmdistill.engine.doctor.wrong_parts import wrong_names


def diagnose(
    cfg: Mapping[str, Any], part: str = 'train', files: bool = True
) -> list[Finding]:
    """Find the mistakes of a config before a dataset or a model is built.

    Types and arguments of every part, files, metrics that are waited for,
    and classes, in well under a second. What is unknown because it is
    another library's or the user's own is let pass. Parts have to be
    registered (`register_all_modules`), also those of ``custom_imports``.

    Args:
        cfg: the resolved config, with all options laid over it.
        part: 'train', or 'test' for what testing needs.
        files: whether to look for the files and folders that it names.
    Returns:
        the findings, of the top of the config first.
    Raises:
        ValueError: for another part.
    """
    if part not in ('train', 'test'):
        raise ValueError(f"part is 'train' or 'test', got {part!r}")
    plain = cfg.to_dict() if hasattr(cfg, 'to_dict') else cfg
    found = [*wrong_names(plain), *half_loops(plain)]
    if part == 'train':
        found += unreported_metrics(plain)
    if files:
        found += missing_files(plain, part)
        if part == 'train':
            found += wrong_classes(plain)
    return found


def require_sound(
    cfg: Mapping[str, Any],
    where: str,
    part: str = 'train',
    files: bool = True,
) -> None:
    """Raise if a config has mistakes.

    Args:
        cfg, part, files: as of `diagnose`.
        where: what the message calls the config; its path.
    Raises:
        ConfigError: with one line for each mistake.
    """
    errors = [f for f in diagnose(cfg, part, files) if f.is_error]
    if errors:
        raise ConfigError(errors, where)
