"""The docs: their blocks run, the site builds, and every name is in it."""

import html.parser
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from docs_blocks import (
    DOCS,
    HERE,
    ROOT,
    blocks,
    cells,
    notebooks,
    pages,
    prepare,
    run_shell,
)
from helpers import tiny_classifier
from PIL import Image

from mmdistill.registry import MODELS

#: Pages whose trainings count epochs: then one is enough.
BY_EPOCH = {'own_images', 'no_labels'}
#: Pages of many trainings, which take a minute and more.
LONG = {'own_images', 'export', 'no_labels'}
WITH_SHELL = [
    pytest.param(
        page,
        marks=pytest.mark.long if page.stem in LONG else pytest.mark.slow,
    )
    if any(b.language != 'python' and b.runs for b in blocks(page))
    else page
    for page in pages()
    if any(b.runs or b.file for b in blocks(page))
]


def title(value) -> str:
    return value.stem


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A repository in which somebody has run the quick start."""
    teacher = tmp_path / 'work_dirs' / 'quickstart' / 'teacher'
    teacher.mkdir(parents=True)
    network = MODELS.build(tiny_classifier(14, (16, 16, 32, 64)))
    torch.save(network.state_dict(), teacher / 'student.pth')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('MPLBACKEND', 'agg')
    return tmp_path


def own_images(folder: Path) -> None:
    """Class folders of a user."""
    rng = np.random.default_rng(0)
    for part in ('train', 'test'):
        for name in ('cat', 'dog'):
            place = folder / 'data' / 'folder' / part / name
            place.mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
                Image.fromarray(pixels).save(place / f'{number:03}.jpg')


@pytest.mark.parametrize('page', WITH_SHELL, ids=title)
def test_blocks_run(page, folder):
    prepare(folder, page.stem in BY_EPOCH)
    own_images(folder)
    namespace = {'__name__': 'docs'}
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
        elif block.runs and block.language == 'python':
            exec(
                compile(block.text, f'block of {page.name}', 'exec'), namespace
            )
        elif block.runs:
            run_shell(block.text, folder)


@pytest.mark.slow
@pytest.mark.parametrize('notebook', notebooks(), ids=title)
def test_notebooks_run(notebook, folder):
    namespace = {'__name__': 'notebook'}
    assert cells(notebook)
    for cell in cells(notebook):
        exec(compile(cell, str(notebook), 'exec'), namespace)


def test_needs_are_known():
    named = {n for page in pages() for b in blocks(page) for n in b.needs}
    assert named <= set(HERE)
    # A mark that has lost its block would let it run, or never be seen.
    for page in pages():
        text = page.read_text()
        marks = text.count('<!-- needs: ') + text.count('<!-- file: ')
        assert (
            marks == sum(bool(b.file or b.needs) for b in blocks(page))
            or '<!-- all need: ' in text
        )


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> Path:
    """The site without warnings; notebooks are run by a test of their own."""
    pytest.importorskip('sphinx', reason="pip install '.[docs]'")
    pytest.importorskip('myst_nb', reason="pip install '.[docs]'")
    out = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q']
    done = subprocess.run(
        [*command, '-D', 'nb_execution_mode=off', '-d', out / 'trees']
        + ['-b', 'html', DOCS, out / 'html'],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return out / 'html'


class Links(html.parser.HTMLParser):
    """What a page links to, and the ids that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text('utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get('id'):
            self.ids.add(attrs['id'])
        for name in ('href', 'src'):
            if attrs.get(name):
                self.links.append(attrs[name])


@pytest.mark.slow
def test_links_lead_somewhere(site):
    found = {path: Links(path) for path in site.rglob('*.html')}
    dead = []
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            if not target.exists():
                dead.append((path.name, link))
            elif parts.fragment and target in found:
                if unquote(parts.fragment) not in found[target].ids:
                    dead.append((path.name, link))
    assert len(found) > 60
    assert not dead


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site, monkeypatch):
    from sphinx.util.inventory import InventoryFile

    monkeypatch.syspath_prepend(DOCS / '_ext')
    reference = importlib.import_module('reference_pages')
    with (site / 'objects.inv').open('rb') as file:
        inventory = InventoryFile.load(file, '', lambda *a: '/'.join(a))
    names = {name for kind in inventory.values() for name in kind}
    last = {name.rpartition('.')[2] for name in names}
    missing = [
        f'{module}.{name}'
        for group in reference.GROUPS
        for module in reference.modules(group)
        for name in reference.public_names(module)
        if name not in last
    ]
    assert not missing


def test_every_package_with_public_names_is_in_the_reference(monkeypatch):
    """But for the registries and what only our own modules import."""
    monkeypatch.syspath_prepend(DOCS / '_ext')
    reference = importlib.import_module('reference_pages')
    listed = {m for g in reference.GROUPS for m in reference.modules(g)}
    #: Their names stand elsewhere, or are told in the text.
    elsewhere = {
        'mmdistill.losses',
        'mmdistill.models',
        'mmdistill.models.registered',
        'mmdistill.registry',
        'mmdistill.utils',
    }
    for path in (ROOT / 'mmdistill').rglob('__init__.py'):
        name = '.'.join(path.parent.relative_to(ROOT).parts)
        has_names = '__all__' in path.read_text('utf-8')
        below = any(name.startswith(f'{other}.') for other in listed)
        if has_names and name != 'mmdistill' and not below:
            assert name in listed | elsewhere, name


def test_every_public_name_has_a_docstring(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / '_ext')
    reference = importlib.import_module('reference_pages')
    without = []
    for group in reference.GROUPS:
        for module in reference.modules(group):
            for name in reference.public_names(module):
                value = getattr(importlib.import_module(module), name)
                described = inspect.isclass(value) or inspect.isroutine(value)
                if described and not inspect.getdoc(value):
                    without.append(f'{module}.{name}')
    assert not without


def test_gains_and_figures_of_a_method(monkeypatch):
    """From the tables of its README and from its resolved config."""
    monkeypatch.syspath_prepend(DOCS / '_ext')
    pages_of = importlib.import_module('method_pages')
    text = pages_of.page(ROOT / 'configs' / 'crd' / 'README.md')
    # The mean of the 13 rows of 'paper' less 'student alone', by hand.
    row = "| `crd` | the paper's figures, 13 pairs below | +3.49 "
    assert row + '(+2.10 to +5.55) |' in text
    assert '[CIFAR-10, a short comparison](../benchmarks.md#' in text
    assert '>CRD + bank</text>' in text and '>KD</text>' in text
    assert "type='CRDLoss'" in text and '.. autoclass::' in text
    assert '](../crd/' not in text and '.py)' not in text
    online = pages_of.page(ROOT / 'configs' / 'mcl_okd' / 'README.md')
    assert '>peers</text>' in online and '>EnsembleKD</text>' in online
    cocord = pages_of.page(ROOT / 'configs' / 'cocord' / 'README.md')
    rows = ['>teacher<', '>student<', '>slow_student<']
    assert [cocord.index(row) for row in rows] == sorted(
        cocord.index(row) for row in rows
    )
