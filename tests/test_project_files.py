"""What a public host, pre-commit and readers of the repository rely on."""

import importlib
import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmdistill.version import __version__

ROOT = Path(__file__).resolve().parents[1]
SETUP = (ROOT / 'setup.py').read_text()


def load(path: str):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize('name', ['ci', 'newest'])
def test_workflows_run_the_two_targets(name):
    jobs = load(f'.github/workflows/{name}.yml')['jobs']
    commands = [
        step['run']
        for job in jobs.values()
        for step in job['steps']
        if 'run' in step
    ]
    for target in ('lint', 'test'):
        assert any(line.split()[:2] == ['make', target] for line in commands)
        assert f'make {target}' in (ROOT / '.ci' / 'run').read_text()


def test_pre_commit_takes_the_ruff_of_setup_py():
    (repo,) = load('.pre-commit-config.yaml')['repos']
    asked = {x for h in repo['hooks'] for x in h['additional_dependencies']}
    ruff = {x for x in asked if x.startswith('ruff')}
    assert ruff == set(re.findall(r"'(ruff[^']*)'", SETUP))


def test_the_version_to_cite_is_this():
    assert load('CITATION.cff')['version'] == __version__


def test_types_are_shipped():
    assert (ROOT / 'mmdistill' / 'py.typed').is_file()
    assert "package_data={'mmdistill': ['py.typed', " in SETUP


@pytest.mark.parametrize(
    'page', sorted(p.name for p in ROOT.glob('*.md')), ids=str
)
def test_links_into_the_repository_lead_somewhere(page):
    links = re.findall(r'\]\(([^)#:]+)\)', (ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their first rows."""
    text = (ROOT / page).read_text().split(f'\n## {heading}\n')[1]
    text = text.split('\n## ')[0]
    lines = re.findall(r'^\| (.*) \|$', text, re.M)
    cells = [line.split(' | ') for line in lines]
    return [row for row in cells if row[0].startswith('`')]


def test_modules_are_where_upgrading_says():
    for old, new in rows('UPGRADING.md', 'Modules'):
        for name in re.findall(r'`([\w.]+)`', old):
            path = ROOT / name.replace('.', '/')
            # A package may have taken a module's name.
            assert not path.with_suffix('.py').exists(), name
        for name in re.findall(r'`([\w.]+)`', new):
            importlib.import_module(name)


def test_commands_are_where_upgrading_says():
    for old, new in rows('UPGRADING.md', 'Commands'):
        for name in re.findall(r'`([\w./]+\.py)`', old):
            assert not (ROOT / name).exists()
        for name in re.findall(r'`([\w./]+\.py)`', new):
            assert (ROOT / name).is_file()


def test_options_of_upgrading_are_settings_of_their_leaves():
    found = 0
    for gone, *instead in rows('UPGRADING.md', 'Configs'):
        for name in re.findall(r'`([\w./]+\.py)`', gone):
            assert not (ROOT / 'configs' / name).exists()
        if len(instead) == 1 or '*' in instead[0]:
            continue
        name, options = instead
        cfg = Config.fromfile(ROOT / 'configs' / name.strip('`'))
        for key in re.findall(r'([\w.]+)=', options):
            *path, last = key.split('.')
            part = cfg
            for step in path:
                part = part[step]
            known = last in part or last in ('assignment', 'num_peers')
            assert known, f'{name}: {key}'
            found += 1
    assert found > 20
