"""The console command, as a user calls it."""

import subprocess
import sys
from pathlib import Path

import pytest
from picture_folders import class_folders

from mmdistill import cli

ROOT = Path(__file__).resolve().parents[1]


def test_help_is_quick_and_names_every_command():
    code = (
        'import sys; from mmdistill.cli import main; main(["--help"]); '
        'print("torch" in sys.modules)'
    )
    said = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    ).stdout
    for name in (*cli.OWN, *cli.SCRIPTS):
        assert f'\n  {name} ' in said
    assert said.endswith('False\n')


def test_distill_and_train(tmp_path, capfd, monkeypatch):
    data, out = class_folders(tmp_path / 'data'), tmp_path / 'out'
    monkeypatch.chdir(tmp_path)
    cli.main(
        ['distill', str(data), '--student', 'dict(type="cifar/resnet8")']
        + ['--method', 'task', '--out', str(out), '--epochs', '1']
        + ['--workers', '0', '--no-flip', '--cfg-options', 'log_level=ERROR']
    )
    said = capfd.readouterr().out
    assert '24 images to train with, 6 to validate with, 3 classes' in said
    assert 'epochs 1: as given' in said
    assert f'student: {out / "student_best.pth"}' in said
    assert 'RandomFlip' not in (out / 'config.py').read_text()
    before = sys.argv, list(sys.path)
    cli.main(['train', str(out / 'config.py'), '--work-dir', 'again'])
    assert (tmp_path / 'again' / 'student.pth').is_file()
    assert (sys.argv, sys.path[: len(before[1])]) == before


def test_errors_are_one_line(tmp_path, capsys):
    data = class_folders(tmp_path / 'data')
    argv = ['distill', str(data), '--student', 'cifar/resnet8']
    with pytest.raises(SystemExit, match='1'):
        cli.main([*argv, '--out', str(tmp_path / 'out')])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: method='kd' needs a teacher")
    with pytest.raises(ValueError, match='needs a teacher'):
        cli.main([*argv, '--debug', '--out', str(tmp_path / 'out')])
    with pytest.raises(SystemExit, match='KEY=VALUE'):
        cli.main([*argv, '--cfg-options', 'epochs'])
    with pytest.raises(SystemExit, match='of plain values'):
        cli.main(['distill', 'x', '--student', 'dict(type=a)'])


def test_unknown_commands_and_scripts(monkeypatch):
    with pytest.raises(SystemExit, match='did you mean distill?'):
        cli.main(['distil'])
    monkeypatch.setitem(cli.SCRIPTS, 'report', ('none.py', ''))
    with pytest.raises(SystemExit, match='none.py, which this version'):
        cli.main(['report'])


def test_list(capsys):
    cli.main(['list', 'models', 'cifar/resnet8*'])
    assert capsys.readouterr().out.split() == [
        'cifar/resnet8',
        'cifar/resnet8x4',
    ]
    with pytest.raises(SystemExit, match='no methods are named'):
        cli.main(['list', 'methods', 'nothing'])
