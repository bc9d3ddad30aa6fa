"""What a public host, pre-commit and readers of the repository rely on."""

import re
from pathlib import Path

import pytest
import yaml

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
    assert "package_data={'mmdistill': ['py.typed']}" in SETUP


@pytest.mark.parametrize(
    'page', sorted(p.name for p in ROOT.glob('*.md')), ids=str
)
def test_links_into_the_repository_lead_somewhere(page):
    links = re.findall(r'\]\(([^)#:]+)\)', (ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]
