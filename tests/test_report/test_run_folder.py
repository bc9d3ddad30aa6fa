"""A work folder is read: config, weights, log."""

import json
import os

import pytest

from mmdistill.report.run_folder import metric_names, read_log, read_run


def write(folder, name, *records):
    path = folder / name / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, records)) + '\n')


def test_a_run(run, distilled):
    assert run.weights == distilled / 'student_best.pth'
    assert run.metric == 'accuracy/top1'
    assert len(run.values('accuracy/top1')) == 2
    assert len(run.training) == 6
    assert run.of_teachers(run.metric) == {'teacher': 'teacher/accuracy/top1'}
    assert run.cfg.model.type == 'OfflineDistiller'


def test_what_a_resumed_run_has_taken_back_does_not_count(tmp_path):
    write(
        tmp_path, '1',
        dict(lr=1, loss=3.0, step=1), dict(lr=1, loss=2.0, step=2),
        dict(acc=10.0, step=2), dict(lr=1, loss=1.5, step=3),
    )  # fmt: skip
    write(tmp_path, '2', dict(lr=1, loss=1.7, step=3), dict(acc=20.0, step=4))
    write(tmp_path, '3', dict(acc=99.0, step=0))  # a test
    training, validation = read_log(tmp_path)
    assert [r['loss'] for r in training] == [3.0, 2.0, 1.7]
    assert [r['acc'] for r in validation] == [10.0, 20.0]


def test_metrics_are_the_students():
    records = [
        {'accuracy/top1': 1.0, 'teacher/accuracy/top1': 2.0, 'step': 1},
        {'accuracy/top1': 1.0, 'time': 2.0, 'single-label/precision': 3.0},
    ]
    found = metric_names(records)
    assert found == ['accuracy/top1', 'single-label/precision']


def test_less_may_be_better(run):
    assert run.best([3.0, 1.0, 2.0]) == 3.0
    run.cfg.default_hooks.checkpoint.rule = 'less'
    assert run.best([3.0, 1.0, 2.0]) == 1.0


def test_no_folder_and_no_config(tmp_path):
    with pytest.raises(FileNotFoundError, match="'nowhere' is no folder"):
        read_run('nowhere')
    with pytest.raises(FileNotFoundError, match='no config .* --config'):
        read_run(tmp_path)


def test_the_newest_config_counts(tmp_path):
    for age, name in enumerate(('new.py', 'old.py')):
        (tmp_path / name).write_text(f'model = dict(type={name!r})')
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert read_run(tmp_path).cfg.model.type == 'new.py'


def test_a_config_that_names_a_base_of_ours(tmp_path):
    """As `mmdistill.distill` writes it."""
    text = "_base_ = 'mmdistill::quickstart/kd_digits.py'\n"
    (tmp_path / 'config.py').write_text(text)
    assert read_run(tmp_path).cfg.model.type == 'OfflineDistiller'
