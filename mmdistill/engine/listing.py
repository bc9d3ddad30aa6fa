"""Names of models, methods and registered parts, as a user asks for them."""

from __future__ import annotations

import fnmatch

from mmdistill import registry
from mmdistill.engine.methods import KINDS as TEACHERS
from mmdistill.engine.methods import get_method, method_names
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.losses import DistillLoss
from mmdistill.models.zoo import list_models
from mmdistill.utils import register_all_modules

_LISTED = dict(
    losses='MODELS',
    distillers='MODELS',
    datasets='DATASETS',
    transforms='TRANSFORMS',
    hooks='HOOKS',
    metrics='METRICS',
    formats='EXPORT_FORMATS',
)
#: What can be listed.
KINDS = ('models', 'methods', *_LISTED)


def names_of(kind: str, pattern: str) -> list[str]:
    """Lines that begin with the names of one kind of part.

    Args:
        kind: one of `KINDS`.
        pattern: of the names, with wildcards.
    """
    register_all_modules(init_default_scope=False)
    if kind == 'models':
        return list_models(pattern)
    if kind == 'methods':
        lines = _methods()
    else:
        lines = _parts(kind)
    return [
        line for line in lines if fnmatch.fnmatch(line.split()[0], pattern)
    ]


def _methods() -> list[str]:
    lines = []
    for name in method_names():
        method = get_method(name)
        labels = 'labels' if method.needs_labels else ''
        lines.append(f'{name:<28}{labels:<8}{TEACHERS[method.kind]}')
    return lines


def _parts(kind: str) -> list[str]:
    """Names that are registered, with the first line of their docstrings."""
    parts = getattr(registry, _LISTED[kind])
    parts.import_from_location()
    base = dict(losses=DistillLoss, distillers=BaseDistiller).get(kind, object)
    lines = []
    for name, part in sorted(parts.module_dict.items()):
        if isinstance(part, type) and issubclass(part, base):
            about = getattr(part, 'about', None) or part.__doc__ or ''
            first = about.strip().partition('\n')[0]
            lines.append(f'{name:<28}{first}'.rstrip())
    return lines
