"""From a folder to a student, and what stops before it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from picture_folders import class_folders

import mmdistill
from mmdistill.checkpoints import load_file
from mmdistill.datasets.own_data import DataError
from mmdistill.engine.config_files import read_config
from mmdistill.engine.methods import get_method, method_names

ROOT = Path(__file__).resolve().parents[2]
QUICK = dict(epochs=1, workers=0, options={'log_level': 'WARNING'})
#: Those that stand in an error in place of a run.
REFUSED = [n for n in method_names() if get_method(n).kind == 'self']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp('data') / 'colors', 3, 16)


@pytest.fixture(scope='module')
def teacher(data, tmp_path_factory):
    out = tmp_path_factory.mktemp('teacher') / 'run'
    made = mmdistill.distill(
        data, 'cifar/resnet14', None, 'task', out, **QUICK
    )
    return str(made.student)


def run(data, out, method='kd', teacher=None, **options):
    return mmdistill.distill(
        data, 'cifar/resnet8', teacher, method, out, **{**QUICK, **options}
    )


def weights(path):
    return load_file(str(path))['state_dict']


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) for key in one
    )


def test_the_config_gives_the_same_run_by_the_tool(data, teacher, tmp_path):
    made = run(
        data,
        tmp_path / 'out',
        teacher=teacher,
        epochs=2,
        options={
            'model.losses.kd.temperature': 2.0,
            'log_level': 'WARNING',
            'default_hooks.logger.interval': 3,
        },
    )
    cfg = read_config(made.config)
    assert cfg.model.losses.kd.temperature == 2.0
    assert cfg.default_hooks.logger.interval == 3
    assert cfg.default_hooks.logger.type == 'LoggerHook'
    assert made.config.read_text().startswith('# Written by mmdistill')
    assert 0 <= made.accuracy <= 100
    again = tmp_path / 'again'
    subprocess.run(
        [sys.executable, ROOT / 'tools' / 'train.py', made.config]
        + ['--work-dir', again],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    for name in ('student.pth', 'student_best.pth'):
        assert equal(weights(tmp_path / 'out' / name), weights(again / name))


def test_a_run_that_stopped_goes_on(data, tmp_path):
    whole = run(data, tmp_path / 'whole', 'task', epochs=2)
    out = tmp_path / 'out'
    run(data, out, 'task', epochs=2)
    # As a kill in the second epoch leaves it.
    for name in ('student.pth', 'student_best.pth', 'epoch_2.pth'):
        (out / name).unlink()
    (out / 'last_checkpoint').write_text('epoch_1.pth')
    with pytest.raises(
        FileExistsError, match=r'another run \(config.py.*resume'
    ):
        run(data, out, 'task')
    run(data, out, 'task', resume=True)
    assert equal(
        weights(out / 'student.pth'),
        weights(whole.student.with_name('student.pth')),
    )


def test_a_teacher_is_trained_first_and_the_student_exported(data, tmp_path):
    made = run(
        data,
        tmp_path / 'out',
        teacher='cifar/resnet14',
        train_teacher=True,
        export='mmpretrain',
    )
    assert (tmp_path / 'out' / 'teacher' / 'student_best.pth').is_file()
    assert made.exported.is_file()
    assert '{{ fileDirname }}/teacher/' in made.config.read_text()


def cases():
    """Every method with labels; without, those that are made for it, or not.

    Each is a run of its own: a few are quick, some slow, the rest long.
    """
    quick = {('kd', None), ('at', False), ('label_free_cc', False)}
    slow = {
        'seed',
        'infonce',
        'crd_kd',
        'cocord',
        'ab',
        'mcl_okd',
        'compress_2q',
        'task',
    }
    without = {'kd', 'at', 'rkd', 'ab', 'dml'}
    for name in method_names():
        if name in REFUSED:
            continue
        is_free = get_method(name).is_label_free
        for labels in (None, False):
            if labels is False and not (is_free or name in without):
                continue
            mark = pytest.mark.slow if name in slow else pytest.mark.long
            marks = () if (name, labels) in quick else mark
            of_which = 'labels' if labels is None else 'none'
            yield pytest.param(
                name, labels, marks=marks, id=f'{name}-{of_which}'
            )


@pytest.mark.parametrize(('method', 'labels'), cases())
def test_every_method_trains_or_says_why_not(
    method, labels, data, teacher, tmp_path
):
    kind = get_method(method)
    given = teacher if kind.has_teacher else None
    out = tmp_path / 'out'
    if kind.compares_heads and not kind.is_label_free:
        with pytest.raises(ValueError, match='what projection heads give'):
            run(data, out, method, given, labels=labels)
    elif labels is False and kind.needs_labels:
        with pytest.raises(DataError, match='do without: at, cc'):
            run(data, out, method, given, labels=labels)
        assert not out.exists()
    else:
        made = run(data, out, method, given, labels=labels)
        assert (made.accuracy is None) == (labels is False)
        state = weights(made.student)
        assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize('method', REFUSED)
def test_methods_of_many_crops_are_refused(method, data, tmp_path):
    with pytest.raises(ValueError, match='configs/ssl_digits.*compress'):
        run(data, tmp_path / 'out', method)


@pytest.mark.parametrize(
    ('wrong', 'error', 'said'),
    [
        (dict(method='kdd'), ValueError, "did you mean 'kd'"),
        (dict(method='kd'), ValueError, 'needs a teacher'),
        (dict(method='task', teacher='cifar/resnet8'), ValueError, 'leave t'),
        (dict(method='task', export='onxx'), ValueError, "'onnx'"),
        (dict(method='task', epochs=-1), ValueError, 'epochs=-1'),
        (dict(teacher='resnet18'), ValueError, 'names no model'),
    ],
)
def test_what_is_wrong_is_found_at_once(wrong, error, said, data, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(error, match=said):
        run(data, out, **wrong)
    assert not out.exists()


def test_the_run_is_not_put_among_the_images(data):
    with pytest.raises(DataError, match='inside of the images'):
        run(data, data / 'out', 'task')


def test_a_student_that_no_library_has(data, tmp_path):
    with pytest.raises(ValueError, match='cifar/resnet8'):
        mmdistill.distill(
            data, 'cifar/resnet9', None, 'task', tmp_path / 'out', **QUICK
        )
