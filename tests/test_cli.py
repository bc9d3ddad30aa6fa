"""The console command, as a user types it."""

import subprocess
import sys

import pytest
from mmengine.config import Config

from mmdistill import cli
from mmdistill.version import __version__


def said(capsys, *arguments):
    cli.main(list(map(str, arguments)))
    return capsys.readouterr().out


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        'import sys; sys.argv = ["mmdistill"]\n'
        'from mmdistill.cli import main; main()\n'
        'assert "mmpretrain.models" not in sys.modules'
    )
    run = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for name in ('distill', *cli.TOOLS, 'list'):
        assert f'\n    {name}' in run.stdout


def test_version(capsys):
    assert said(capsys, '--version') == f'mmdistill {__version__}\n'


def test_lists(capsys):
    assert 'timm/resnet18\n' in said(capsys, 'list', 'models', '*/resnet18')
    assert said(capsys, 'list', 'methods', 'crd*') == 'crd\ncrd_kd\n'
    assert 'KDLoss' in said(capsys, 'list', 'losses')
    assert 'onnx' in said(capsys, 'list', 'formats')
    assert 'nothing is called' in said(capsys, 'list', 'methods', 'nothing')


@pytest.mark.parametrize('name', cli.TOOLS)
def test_tools_have_their_own_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, '--help'])
    assert end.value.code == 0
    assert 'usage:' in capsys.readouterr().out
    assert sys.argv[0] != name


def test_train_of_a_config_of_ours(tmp_path, capsys):
    """``mmdistill::`` stands for the folder of configs, wherever it is."""
    config = tmp_path / 'mine.py'
    config.write_text(
        "_base_ = 'mmdistill::quickstart/student_digits.py'\n"
        'train_cfg = dict(max_iters=2, val_interval=2)\n'
    )
    cli.main(['train', str(config), '--work-dir', str(tmp_path / 'run')])
    assert (tmp_path / 'run' / 'student.pth').is_file()
    dumped = Config.fromfile(tmp_path / 'run' / 'mine.py')
    assert dumped.train_cfg.max_iters == 2


@pytest.mark.parametrize(
    'base, message',
    [
        ('mmdistill::quickstart/nothing.py', 'which does not exist'),
        (
            'mmdistill::quickstart/kd_digit.py',
            "did you mean 'kd_digits.py'",
        ),
    ],
)
def test_a_config_of_ours_that_is_not_there(tmp_path, capsys, base, message):
    config = tmp_path / 'mine.py'
    config.write_text(f'_base_ = {base!r}\n')
    with pytest.raises(SystemExit) as end:
        cli.main(['train', str(config), '--work-dir', str(tmp_path)])
    assert end.value.code == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
