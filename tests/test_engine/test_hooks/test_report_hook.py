"""A report at the end of training, which fails no run."""

import torch
from helpers import digits_config

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner

HOOKS = dict(
    report=dict(type='ReportHook'),
    export_student=dict(type='ExportStudentHook'),
)


def test_a_page_lies_in_the_work_folder(tmp_path):
    runner = DistillRunner.from_cfg(
        digits_config(tmp_path, default_hooks=HOOKS)
    )
    runner.train()
    # the model is as training left it, though the page is of the best one
    last = load_file(str(tmp_path / 'student.pth'))['state_dict']
    for name, value in runner.model.student.state_dict().items():
        torch.testing.assert_close(value, last[name], rtol=0, atol=0)
    page = (tmp_path / 'report.html').read_text()
    assert 'Where student and teacher differ' in page
    assert 'student_best.pth' in page


def test_a_failure_is_a_warning(tmp_path, capsys):
    hooks = HOOKS | dict(report=dict(type='ReportHook', baseline='nowhere'))
    DistillRunner.from_cfg(
        digits_config(tmp_path, default_hooks=hooks)
    ).train()
    said = capsys.readouterr().out
    assert (
        'there is no report of this run: FileNotFoundError: the work' in said
    )
    assert 'tools/report.py' in said
    assert (tmp_path / 'student.pth').is_file()
    assert not (tmp_path / 'report.html').exists()
