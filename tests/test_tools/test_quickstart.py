"""The quick start: few steps for its files, all of it for its gain."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def quickstart(tmp_path, *options) -> list[dict]:
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'quickstart.py'), *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1'),  # others share the cores
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'student alone' in done.stdout
    folder = tmp_path / 'work_dirs' / 'quickstart'
    assert (folder / 'curves.png').stat().st_size > 5000
    with (folder / 'summary.csv').open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_gain(tmp_path):
    rows = quickstart(tmp_path, '--cfg-options', 'default_hooks.report=None')
    assert list(rows[0]) == ['method', 'accuracy', 'gain', 'seconds']
    by_name = {row['method']: row for row in rows}
    assert list(by_name) == [
        'teacher', 'student alone', 'KD', 'ProtoCPC', 'CRD+KD']  # fmt: skip
    accuracy = {name: float(row['accuracy']) for name, row in by_name.items()}
    assert accuracy['teacher'] > 96
    assert accuracy['student alone'] < 95
    for name in ('KD', 'ProtoCPC', 'CRD+KD'):
        assert accuracy[name] >= 94
        gain = accuracy[name] - accuracy['student alone']
        assert float(by_name[name]['gain']) == pytest.approx(gain, abs=0.02)


@pytest.mark.slow
def test_failure_shows_the_log(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / 'tools' / 'quickstart.py'),
            '--cfg-options',
            'model.head.in_channels=7',
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert 'mat1 and mat2' in done.stdout + done.stderr
    assert 'teacher failed; the whole log is' in done.stdout + done.stderr
