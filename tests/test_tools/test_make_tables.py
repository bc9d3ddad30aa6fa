"""Tables and metafiles are made from one file, and are current."""

import importlib.util
import inspect
import itertools
import re
import shlex
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from mmdistill.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location(
    'make_tables', ROOT / 'tools' / 'make_tables.py'
)
make_tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_tables)

RESULTS = """
datasets: {cifar100: CIFAR-100}
folders:
  vanilla:
    name: Vanilla
    paper: None
    tables:
      cifar100:
        source: P, Table 1
        columns: {paper: Top 1 Accuracy, ours: Top 1 Accuracy}
        rows:
          - [big_cifar100, 79.40]
          - [small_cifar100, 72]
  kd:
    name: KD
    paper: Knowledge
    tables:
      pairs:
        source: P, Table 2
        run: seeds 0 to 2
        columns:
          teacher: vanilla teacher
          alone: vanilla student
          T:
          paper: Top 1 Accuracy
          ours: Top 1 Accuracy
        rows:
          - [kd_big_small_cifar100, 4, 74.90, 75.1 ± 0.2]
          - {config: kd_big_small_cifar100, options: a.b=1, note: late,
             values: [2, 73]}
      more:
        first: start
        columns: {checkpoint: }
        rows: [{text: from nothing}]
"""
README = 'A\n<!-- results: {} -->\n<!-- end -->\nB\n'
CONFIG = '[kd_big_small_cifar100.py](kd_big_small_cifar100.py)'


@pytest.fixture
def root(tmp_path):
    for leaf in ('vanilla/big', 'vanilla/small', 'kd/kd_big_small', 'kd/kd_x'):
        path = tmp_path / 'configs' / f'{leaf}_cifar100.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    configs = tmp_path / 'configs'
    (configs / 'results.yml').write_text(RESULTS)
    (configs / 'vanilla/README.md').write_text(README.format('cifar100'))
    text = README.format('more') + README.format('pairs')
    (configs / 'kd/README.md').write_text(text)
    return tmp_path


def test_ours_are_current(capsys):
    assert make_tables.main(['--check']) == 0, capsys.readouterr().out


def test_tables(root):
    assert make_tables.main([], root) == 0
    assert (root / 'configs/kd/README.md').read_text() == (
        'A\n<!-- results: more -->\n'
        '| start | checkpoint |\n'
        '|---|---|\n'
        '| from nothing | |\n'
        '<!-- end -->\nB\nA\n<!-- results: pairs -->\n'
        '| config | teacher | alone | T | paper | ours |\n'
        '|---|---|---|---|---|---|\n'
        f'| {CONFIG} | 79.40 | 72 | 4 | 74.90 | 75.1 ± 0.2 |\n'
        f'| {CONFIG}, `--cfg-options a.b=1`, late | 79.40 | 72 | 2 | 73 | |\n'
        '<!-- end -->\nB\n'
    )


def test_metafiles(root):
    make_tables.main([], root)
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    assert index == dict(
        Import=['configs/vanilla/metafile.yml', 'configs/kd/metafile.yml']
    )
    made = yaml.safe_load((root / 'configs/kd/metafile.yml').read_text())
    readme = 'configs/kd/README.md'
    assert made['Collections'] == [
        dict(Name='KD', README=readme, Paper=dict(Title='Knowledge'))
    ]
    first, second = made['Models']
    assert first == {
        'Name': 'kd_big_small_cifar100',
        'In Collection': 'KD',
        'Config': 'configs/kd/kd_big_small_cifar100.py',
        'Results': [
            result(74.9, 'P, Table 2'),
            result('75.1 ± 0.2', 'measured: seeds 0 to 2'),
            result(73.0, 'P, Table 2', Options='a.b=1', Note='late'),
        ],
    }
    assert second['Name'] == 'kd_x_cifar100'
    assert 'Results' not in second


def result(figure, source, **more):
    return dict(
        Task='Image Classification',
        Dataset='CIFAR-100',
        Metrics={'Top 1 Accuracy': figure},
        Source=source,
        **more,
    )


def test_what_is_stale_is_named(root, capsys):
    make_tables.main([], root)
    capsys.readouterr()
    assert make_tables.main(['--check'], root) == 0
    path = root / 'configs' / 'results.yml'
    path.write_text(path.read_text().replace('74.90', '74.91'))
    (root / 'model-index.yml').unlink()
    assert make_tables.main(['--check'], root) == 1
    assert capsys.readouterr().out == (
        'configs/kd/README.md is not current\n'
        'configs/kd/metafile.yml is not current\n'
        'model-index.yml is not current\n'
        'run `python tools/make_tables.py`\n'
    )
    assert '74.91' not in (root / 'configs/kd/README.md').read_text()


@pytest.mark.parametrize(
    'old, new, message',
    [('[kd_big_small', '[kd_bg_small', 'kd_bg_small_cifar100: there is no'),
     ('74.90, 75.1', '74.90, 1, 75.1', "more than the columns .'T', 'paper'"),
     ('run: seeds 0 to 2', '', 'kd: .*measured; say in `run`'),
     ('      pairs:', '      couples:', "marks of .*'couples'"),
     ('{cifar100:', '{cifar10k:', 'names 0 of'),
     ('[small_cifar100, 72]', '[big_cifar100, 72]', 'names no pair')],
)  # fmt: skip
def test_mistakes_are_named(root, old, new, message):
    path = root / 'configs' / 'results.yml'
    assert RESULTS.count(old) == 1
    path.write_text(RESULTS.replace(old, new))
    with pytest.raises(ValueError, match=message):
        make_tables.main([], root)


def options_of_rows():
    text = (ROOT / 'configs' / 'results.yml').read_text()
    results = yaml.load(text, Loader=yaml.BaseLoader)
    for name, folder in results['folders'].items():
        for table in folder.get('tables', {}).values():
            for row in table['rows']:
                options = table.get('options', '')
                if isinstance(row, dict):
                    options = row.get('options', options)
                if options:
                    config = row[0] if isinstance(row, list) else row['config']
                    yield f'{name}/{config}.py', options


def test_options_of_rows_are_options_of_their_configs():
    """A key that the config has, or an argument of what it belongs to."""
    rows = set(options_of_rows())
    assert len(rows) > 30
    for config, options in sorted(rows):
        cfg = Config.fromfile(ROOT / 'configs' / config)
        for option in shlex.split(options):
            *path, key = option.partition('=')[0].split('.')
            part = cfg
            for name in path:
                part = part[name]
            if key not in part:
                built = MODELS.get(part['type'])
                assert key in inspect.signature(built).parameters, option


def test_configs_of_commands_are_there():
    """In every document, with its braces written out as the shell does."""
    documents = [
        ROOT / 'README.md',
        *ROOT.glob('docs/*.md'),
        *ROOT.glob('configs/*/README.md'),
    ]
    found = 0
    for document in documents:
        for path in re.findall(
            r'configs/[\w/{},.]+\.py', document.read_text()
        ):
            parts = re.split(r'\{([^}]*)\}', path)
            choices = [
                part.split(',') if i % 2 else [part]
                for i, part in enumerate(parts)
            ]
            for name in map(''.join, itertools.product(*choices)):
                assert (ROOT / name).is_file(), f'{document}: {name}'
                found += 1
    assert found > 100
