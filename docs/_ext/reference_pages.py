"""Makes a page of reference for each group of packages.

`GROUPS` is all there is to change for a new package: every name of its
``__all__`` is documented from its docstring.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

PAGES = Path(__file__).resolve().parents[1] / 'reference'
#: Title, what stands under it, and modules, by the page's name.
GROUPS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    'api': (
        'One call',
        'What the console command `mmdistill` does, from Python.',
        ('mmdistill.api',),
    ),
    'predicting': (
        'A student at work',
        'What the file of a student says of pictures, and their features.',
        ('mmdistill.predicting',),
    ),
    'outside': (
        'Losses outside the framework',
        'Every class of [losses](losses.md) is here, too.',
        ('mmdistill.losses.building',),
    ),
    'losses': (
        'Losses',
        'Tensors in, a weighted scalar out. `DistillLoss` is all that a '
        'distiller looks at.',
        ('mmdistill.models.losses',),
    ),
    'distillers': (
        'Distillers',
        'Who learns from whom: one scheme each.',
        ('mmdistill.models.distillers',),
    ),
    'memories': (
        'Memories',
        'What a loss remembers; equal in all processes.',
        ('mmdistill.models.memories',),
    ),
    'networks': (
        'Networks and heads',
        'Backbones, encoders, classifiers, detectors and what they are made '
        'of. Those of MMPretrain can be used, too.',
        (
            'mmdistill.models.heads',
            'mmdistill.models.backbones',
            'mmdistill.models.encoders',
            'mmdistill.models.classifiers',
            'mmdistill.models.dense',
            'mmdistill.models.necks',
            'mmdistill.models.preprocessors',
            'mmdistill.models.representation',
            'mmdistill.models.pretrained',
            'mmdistill.models.zoo',
        ),
    ),
    'data': (
        'Datasets and transforms',
        'Besides those of MMPretrain.',
        ('mmdistill.datasets',),
    ),
    'engine': (
        'Runner, hooks and loops',
        'What happens around a step. Hooks stand in `default_hooks` under '
        'a name.',
        (
            'mmdistill.engine.runner',
            'mmdistill.engine.hooks',
            'mmdistill.engine.loops',
            'mmdistill.engine.knn',
            'mmdistill.engine.doctor',
        ),
    ),
    'evaluation': (
        'Metrics',
        'Besides those of MMPretrain.',
        ('mmdistill.evaluation',),
    ),
    'export': (
        'Exports',
        'A student for other tools; a format is a class in a registry.',
        ('mmdistill.export', 'mmdistill.report'),
    ),
    'ground': (
        'Checkpoints and functions',
        'Files are read as data. Functions have no state.',
        ('mmdistill.checkpoints', 'mmdistill.ops'),
    ),
}


def setup(app: Sphinx) -> dict:
    app.connect('builder-inited', lambda _: write_pages())
    return dict(parallel_read_safe=True)


def modules(group: str) -> list[str]:
    """The group's modules that this version has."""
    return [m for m in GROUPS[group][2] if importlib.util.find_spec(m)]


def public_names(module: str) -> list[str]:
    """A module's ``__all__``, or else the classes and functions it has."""
    found = importlib.import_module(module)
    if hasattr(found, '__all__'):
        return list(found.__all__)
    return [
        name
        for name, value in vars(found).items()
        if not name.startswith('_')
        and getattr(value, '__module__', None) == module
        and (inspect.isclass(value) or inspect.isfunction(value))
    ]


def write_pages() -> None:
    PAGES.mkdir(exist_ok=True)
    documented: set[int] = set()  # what two packages offer stands once
    for group, (title, about, _) in GROUPS.items():
        found = modules(group)
        path = PAGES / f'{group}.md'
        if not found:
            path.unlink(missing_ok=True)
            continue
        parts = [f'# {title}', about]
        for module in found:
            if found[1:]:
                parts.append(f'## `{module}`')
            for name in public_names(module):
                value = getattr(importlib.import_module(module), name)
                if id(value) not in documented:
                    documented.add(id(value))
                    parts.append(directive(f'{module}.{name}', value))
        text = '\n\n'.join(parts) + '\n'
        if not path.is_file() or path.read_text('utf-8') != text:
            path.write_text(text, 'utf-8')


def directive(name: str, value: Any) -> str:
    if inspect.isclass(value):
        error = issubclass(value, Exception)
        kind = 'autoexception' if error else 'autoclass'
        options = '' if error else '\n   :members:'
    elif callable(value):
        kind, options = 'autofunction', ''
    else:  # its comment stands where it is defined
        kind, options = 'autodata', '\n   :no-value:'
        name = f'{defining_module(*name.rsplit(".", 1))}.{name.split(".")[-1]}'
    return f'```{{eval-rst}}\n.. {kind}:: {name}{options}\n```'


def defining_module(package: str, name: str) -> str:
    """The module below a package that defines a piece of data."""
    for module, found in sys.modules.items():
        if module.startswith(f'{package}.') and name in vars(found):
            source = inspect.getsource(found)
            if re.search(rf'^{name}\b.*= ', source, re.M):
                return module
    return package
