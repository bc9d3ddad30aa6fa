"""The example plug-in, installed as a package and used by the tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_classifier

from mmdistill.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / 'examples' / 'plugin'


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """The folder that the package is installed into."""
    pytest.importorskip('setuptools', '70.1')  # earlier: no wheels
    folder = tmp_path_factory.mktemp('plugin')
    source = folder / 'source'  # setuptools builds beside what it reads
    subprocess.run(['cp', '-r', str(PLUGIN), str(source)], check=True)
    command = [sys.executable, '-m', 'pip', 'install', '--quiet']
    options = ['--no-deps', '--no-build-isolation', '--no-index']
    target = folder / 'site'
    subprocess.run(
        [*command, *options, '--target', str(target), str(source)], check=True
    )
    return target


def call(installed: Path, cwd: Path, *args: str) -> str:
    """What a command prints that finds the package; it must succeed."""
    path = os.pathsep.join([str(installed), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=path),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_trains_and_exports(installed, tmp_path):
    teacher = tmp_path / 'teacher.pth'
    network = MODELS.build(tiny_classifier(14, (16, 16, 32, 64)))
    torch.save(network.state_dict(), teacher)
    out = call(
        installed,
        tmp_path,
        str(ROOT / 'tools' / 'train.py'),
        str(PLUGIN / 'configs' / 'standardized_kd_digits.py'),
        '--cfg-options',
        f'model.teacher_ckpt={teacher}',
        'custom_hooks.0.minutes=1e-6',
        'custom_hooks.0.interval=3',
        'default_hooks.logger.interval=1',
    )
    assert re.search(r'task: .* kd: ', out)
    assert '1e-06 minutes are over' in out
    assert re.search(r'Iter\(train\) \[ *3/', out)
    assert not re.search(r'Iter\(train\) \[ *4/', out)
    student = tmp_path / 'work_dirs/standardized_kd_digits/student.pth'
    call(
        installed,
        tmp_path,
        str(ROOT / 'tools' / 'export_student.py'),
        str(student),
        'student.npz',
        '--format',
        'npz',
    )
    state = torch.load(student, weights_only=True)['state_dict']
    with np.load(tmp_path / 'student.npz') as arrays:
        assert set(arrays) == set(state)


@pytest.mark.slow
def test_its_own_tests_pass(installed):
    out = call(
        installed, PLUGIN, '-m', 'pytest', '-q', '-p', 'no:cacheprovider'
    )
    assert '3 passed' in out
