"""An error of a command is its last line."""

import json
import re
import sys
from argparse import Namespace

import pytest
import torch
from mmengine.logging import MMLogger

from mmdistill.checkpoints import CheckpointError, load_checkpoint
from mmdistill.engine.command import message_of, run_command
from mmdistill.engine.config_files import require_file
from mmdistill.engine.doctor import ConfigError, Finding
from mmdistill.registry import MODELS


@pytest.fixture
def last_line(monkeypatch, capsys):
    monkeypatch.delenv('MMDISTILL_DEBUG', raising=False)

    def call(function):
        with pytest.raises(SystemExit) as end:
            run_command(lambda args: function(), Namespace(debug=False))
        assert end.value.code == 1
        said = capsys.readouterr().err
        assert 'Traceback' not in said
        return said.splitlines()[-1]

    return call


def test_what_we_say_stands_alone(last_line, tmp_path):
    said = last_line(lambda: require_file('no.pth', 'the checkpoint'))
    assert said.startswith("error: the checkpoint 'no.pth' is not a file")
    assert 'traceback' not in said
    (tmp_path / 'a.pth').write_bytes(b'x')
    said = last_line(lambda: load_checkpoint(str(tmp_path / 'a.pth')))
    assert 'a.pth' in said


def test_what_others_say_has_its_kind(last_line):
    said = last_line(lambda: torch.zeros(2) + torch.zeros(3))
    assert said.startswith('error: RuntimeError: The size of tensor a (2)')
    # in the log of another test's run, if there was one
    assert re.search(r'\(the traceback is (shown with --debug|in .*)\)$', said)
    said = last_line(lambda: MODELS.build(dict(type='Nothing')))
    assert said.startswith('error: KeyError: Nothing is not in')


def test_each_mistake_is_an_error(last_line, capsys):
    def fail():
        raise ConfigError([Finding('a', 'x'), Finding('b.c', 'y')], 'config')

    assert last_line(fail) == 'error: b.c: y'


def test_the_traceback_of_a_run_is_in_its_log(last_line, tmp_path):
    path = tmp_path / 'run.log'
    name = f'command {tmp_path}'
    MMLogger.get_instance(name, log_file=str(path))
    said = last_line(lambda: torch.zeros(2) + torch.zeros(3))
    assert said.endswith(f'(the traceback is in {path})')
    assert 'Traceback (most recent call last)' in path.read_text()
    del MMLogger._instance_dict[name]  # later tests have the one before


@pytest.mark.parametrize('how', ['flag', 'environment'])
def test_debug_shows_it(monkeypatch, how):
    monkeypatch.setenv('MMDISTILL_DEBUG', '1' if how != 'flag' else '0')
    args = Namespace(debug=how == 'flag')
    with pytest.raises(FileNotFoundError):
        run_command(lambda args: require_file('no.pth', 'it'), args)


def test_torchrun_gets_the_error(last_line, monkeypatch, tmp_path):
    path = tmp_path / 'error.json'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(path))
    last_line(lambda: require_file('no.pth', 'the checkpoint'))
    recorded = json.loads(path.read_text())['message']
    assert 'FileNotFoundError' in recorded['message']


def test_a_command_returns_and_exits_as_it_wants():
    assert run_command(lambda args: args.x, Namespace(x=3)) == 3
    with pytest.raises(SystemExit) as end:
        run_command(lambda args: sys.exit(2), Namespace())
    assert end.value.code == 2


def test_message_of():
    # the text of a KeyError is quoted by Python
    assert message_of(KeyError('a b')) == 'KeyError: a b'
    assert message_of(CheckpointError('x is y')) == 'CheckpointError: x is y'
