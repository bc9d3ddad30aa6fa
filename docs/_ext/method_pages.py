"""Makes a page for each folder of configs: ``docs/methods/NAME.md``.

A page is the folder's README with, after its first paragraphs, a figure of
who is compared with whom, the gains, the settings with the sources that stand
beside them in the method's config, and the docstrings of the losses. So
nothing is written twice, and a new method has its page when it has its README.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import figures
import gains
from mmengine.config import Config
from repository_links import with_links
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
PAGES = ROOT / 'docs' / 'methods'


def setup(app: Sphinx) -> dict:
    app.connect('builder-inited', lambda _: write_pages())
    return dict(parallel_read_safe=True)


def write_pages() -> None:
    """Write every page that is not current, remove those that are no more."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    PAGES.mkdir(exist_ok=True)
    made = {
        PAGES / f'{readme.parent.name}.md': page(readme)
        for readme in sorted(CONFIGS.glob('*/README.md'))
    }
    for path in set(PAGES.glob('*.md')) - set(made):
        path.unlink()
    for path, text in made.items():
        if not path.is_file() or path.read_text('utf-8') != text:
            path.write_text(text, 'utf-8')


def page(readme: Path) -> str:
    """The text of the page of a README's folder."""
    text = readme.read_text('utf-8')
    folder = readme.parent
    title, *paragraphs = text.split('\n\n')
    # The paper and what the method does; then come tables and commands.
    count = next(
        (i for i, p in enumerate(paragraphs) if re.match(r'[|<#:]|```', p)),
        len(paragraphs),
    )
    count = max(1, min(count, 2))
    parts = [title, *paragraphs[:count]]
    methods = methods_of(folder)
    parts += figure_section(methods, folder)
    parts += [gain_section(text, methods, names_of(folder, methods))]
    parts += [settings(methods)]
    parts += [loss_section(methods, folder)]
    rest = paragraphs[count:]
    if rest:
        parts += ['## Configs, results and commands', *map(demoted, rest)]
    return linked('\n\n'.join(p for p in parts if p), folder) + '\n'


def methods_of(folder: Path) -> dict[str, list[str]]:
    """Methods of ``configs/_base_``, and a folder's leaves that use each."""
    found: dict[str, list[str]] = {}
    for leaf in sorted(folder.glob('*.py')):
        bases = re.findall(r'_base_/methods/(\w+)\.py', leaf.read_text())
        for method in bases:
            found.setdefault(method, []).append(leaf.stem)
    return found


@cache
def config(path: Path) -> Config:
    return Config.fromfile(path)


def example(method: str, leaves: list[str], folder: Path) -> dict:
    """The resolved model of a leaf that has the losses of its method."""
    path = CONFIGS / '_base_' / 'methods' / f'{method}.py'
    wanted = set(config(path).method.get('losses') or {})
    models = [config(folder / f'{leaf}.py').model for leaf in leaves]
    for model in models:
        losses = model.get('losses') or {}
        if {name for name, loss in losses.items() if loss} == wanted:
            return model
    return models[0]


def losses_of(methods: dict[str, list[str]], folder: Path) -> list[str]:
    """Classes of the losses of some methods, each once."""
    found = []
    for method, leaves in methods.items():
        model = example(method, leaves, folder)
        losses = (model.get('losses') or {}).values()
        found += [loss['type'] for loss in losses if loss]
        if model['type'] == 'OSS':
            found += ['SwappedPredictionLoss', 'FeatureConfusionLoss']
    return list(dict.fromkeys(found))


def names_of(folder: Path, methods: dict[str, list[str]]) -> list[str]:
    """What a table of measurements may call a folder's methods."""
    title = (folder / 'README.md').read_text().splitlines()[0].lstrip('# ')
    own = losses_of(methods, folder)
    if len(own) > 1:  # KD beside CRD is no method of CRD's page
        own = [name for name in own if name != 'KDLoss']
    return [title, *(name.removesuffix('Loss') for name in own)]


def figure_section(methods: dict[str, list[str]], folder: Path) -> list[str]:
    """A figure for each method; one for those that differ in numbers only."""
    drawn: dict[str, list[str]] = {}
    for method, leaves in methods.items():
        model = example(method, leaves, folder)
        if 'losses' in model or model['type'] == 'OSS':
            drawn.setdefault(figures.figure(model), []).append(method)
    parts = ['## Who is compared with whom'] if drawn else []
    for figure, names in drawn.items():
        if drawn.keys() - {figure}:
            parts.append(', '.join(f'`{name}`' for name in names) + ':')
        parts.append(f'```{{raw}} html\n{figure}\n```')
    return parts


def gain_section(
    readme: str, methods: dict[str, list[str]], names: list[str]
) -> str:
    """Gains over the student alone, in points of accuracy."""
    rows = []
    for method, leaves in methods.items():
        for title, values in gains.of_papers(readme, leaves):
            what = "the paper's figures" if title == 'paper' else 'measured'
            mean = sum(values) / len(values)
            pairs, spread = 'one pair', ''
            if values[1:]:
                pairs = f'{len(values)} pairs'
                spread = f' ({min(values):+.2f} to {max(values):+.2f})'
            rows.append(
                f'| `{method}` | {what}, {pairs} below | {mean:+.2f}{spread} |'
            )
    benchmarks = ROOT / 'docs' / 'benchmarks.md'
    for heading, method, gain in gains.measured(benchmarks, names):
        page = '../../docs/benchmarks.md'  # as the README would say it
        where = f'[{heading}]({page}#{anchor(heading)})'
        rows.append(f'| {method} | measured: {where} | {gain} |')
    if not rows:
        return ''
    head = '| method | source | gain, points |\n|---|---|---|'
    return '\n'.join(['## Gain over the student alone\n', head, *rows])


def settings(methods: dict[str, list[str]]) -> str:
    """The methods' configs, with the sources that stand beside the numbers."""
    if not methods:
        return ''
    parts = ['## Settings, and where they are from']
    for method in methods:
        path = CONFIGS / '_base_' / 'methods' / f'{method}.py'
        text = path.read_text('utf-8').rstrip()
        name = path.relative_to(ROOT).as_posix()
        parts.append(f'`{name}`\n\n<!-- needs: repository -->\n'
                     f'```python\n{text}\n```')  # fmt: skip
    return '\n\n'.join(parts)


def loss_section(methods: dict[str, list[str]], folder: Path) -> str:
    """The formula and the arguments of each loss, from its docstring."""
    names = losses_of(methods, folder)
    if not names:
        return ''
    blocks = [
        '```{eval-rst}\n.. autoclass:: mmdistill.models.losses.'
        f'{name}\n   :no-index:\n```'
        for name in names
    ]
    heading = '## The loss' if len(names) == 1 else '## The losses'
    return '\n\n'.join([heading, *blocks])


def demoted(paragraph: str) -> str:
    """A README's own headings are below this page's."""
    return re.sub(r'^(#+ )', r'#\1', paragraph)


def linked(text: str, folder: Path) -> str:
    """A README's text for a page in ``docs/methods``."""
    # Commands and configs that a README shows are those of the repository.
    text = re.sub(
        r'^```(shell|bash|python)$',
        r'<!-- needs: repository -->\n```\1',
        text.replace('<!-- needs: repository -->\n', ''),
        flags=re.M,
    )
    return with_links(text, folder, PAGES)


def anchor(heading: str) -> str:
    """The id that the site gives a heading, as GitHub does."""
    kept = re.sub(r'[^\w\- ]', '', heading.lower())
    return kept.strip().replace(' ', '-')
