"""Configs over seeds: a table, and nothing is run twice."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = '2'


def compare(folder, *options, names=('student', 'teacher')):
    configs = [
        str(ROOT / 'configs' / 'quickstart' / f'{name}_digits.py')
        for name in names
    ]
    return subprocess.run(
        [
            sys.executable,
            str(ROOT / 'tools' / 'compare.py'),
            *configs,
            *options,
            '--cfg-options',
            f'train_cfg.max_iters={STEPS}',
            f'train_cfg.val_interval={STEPS}',
            'default_hooks.logger.interval=1',
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1'),
    )


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_compares_over_seeds(tmp_path):
    done = compare(tmp_path, '--seeds', '0', '1', '--jobs', '2')
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / 'work_dirs' / 'compare'
    runs = {
        (row['config'], row['seed']): float(row['value'])
        for row in table(folder / 'runs.csv')
    }
    assert len(runs) == 4
    student, teacher = table(folder / 'summary.csv')
    a, b = (runs['teacher_digits', s] for s in '01')
    assert float(teacher['mean']) == pytest.approx((a + b) / 2)
    assert float(teacher['deviation']) == pytest.approx(abs(a - b) / 2**0.5)
    gains = [a - runs['student_digits', '0'], b - runs['student_digits', '1']]
    assert float(teacher['gain']) == pytest.approx(sum(gains) / 2)
    assert float(student['gain']) == float(student['gain_deviation']) == 0

    # what has ended is not run again; a seed may be added
    again = compare(tmp_path, '--seeds', '0', '1')
    assert again.returncode == 0 and '…' not in again.stdout
    assert f'{float(teacher["mean"]):.2f}' in again.stdout


@pytest.mark.slow
def test_says_what_failed(tmp_path):
    done = compare(tmp_path, '--seeds', '0', '--metric', 'accuracy/top9')
    assert done.returncode != 0
    assert '--metric' in done.stderr and 'top9' in done.stderr
    done = compare(tmp_path, names=('student', 'student'))
    assert done.returncode != 0 and 'one file name' in done.stderr
