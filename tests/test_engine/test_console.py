"""The console gets a page; the log file gets everything."""

import re

from helpers import digits_config

from mmdistill.engine.runner import DistillRunner


def run(folder, capsys, level='INFO', **kwargs):
    """What a run of two epochs prints, and its log file."""
    cfg = digits_config(folder, log_level=level, **kwargs)
    DistillRunner.from_cfg(cfg).train()
    (log,) = folder.glob('*/*.log')
    return capsys.readouterr().out, log.read_text()


def test_25_lines_before_the_first_of_training(tmp_path, capsys):
    hooks = dict(teacher_check=dict(type='TeacherCheckHook'))
    printed, log = run(tmp_path, capsys, default_hooks=hooks)
    before = printed[: printed.index('Epoch(train)')].splitlines()
    assert len(before) <= 25, before
    assert 'System environment' in log and 'train_dataloader' in log
    assert 'Hooks will be executed' in log
    assert 'System environment' not in printed
    assert 'Hooks will be executed' not in printed


def test_nothing_of_ours_is_deprecated(tmp_path, capsys):
    printed, log = run(
        tmp_path, capsys, default_hooks=dict(checkpoint=dict(interval=1))
    )
    assert 'deprecated' not in printed + log


def test_warnings_are_heard_while_the_runner_is_built(tmp_path, capsys):
    """This one is given while hooks are registered."""
    printed, _ = run(
        tmp_path, capsys, custom_hooks=[dict(type='FiniteLossHook')]
    )
    assert 'stands in custom_hooks' in printed


def test_debug_prints_everything(tmp_path, capsys):
    printed, _ = run(tmp_path, capsys, level='DEBUG')
    assert 'System environment' in printed
    assert 'Hooks will be executed' in printed


def test_what_comes_later_is_printed(tmp_path, capsys):
    printed, _ = run(tmp_path, capsys)
    assert re.search(r'Epoch\(val\) .*accuracy/top1', printed)
