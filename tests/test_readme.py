"""The examples in README and CONTRIBUTING, as a user would try them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_classifier

from mmdistill.checkpoints import load_file
from mmdistill.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]


def examples(page: str) -> dict[str, str]:
    """The code blocks of a page by the names in the marks before them."""
    text = (ROOT / page).read_text()
    found = re.findall(
        r'^<!-- example: (\S+) -->\n```python\n(.*?)^```', text, re.S | re.M
    )
    return dict(found)


def write(folder: Path, blocks: dict[str, str]) -> None:
    for name, text in blocks.items():
        (folder / name).write_text(text)
    (folder / 'configs').symlink_to(ROOT / 'configs')


def call(folder: Path, tool: str, *args: str) -> str:
    """What a tool prints, which must succeed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *args],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_ten_line_loss(tmp_path):
    blocks = examples('README.md')
    lines = blocks['my_loss.py'].splitlines()
    assert len([line for line in lines if line.strip()]) <= 10
    write(tmp_path, blocks)
    teacher = tmp_path / 'teacher.pth'
    torch.save(
        MODELS.build(tiny_classifier(14, (16, 16, 32, 64))).state_dict(),
        teacher,
    )
    out = call(
        tmp_path,
        'train.py',
        'my_config.py',
        '--cfg-options',
        f'model.teacher_ckpt={teacher}',
        'train_cfg.max_iters=4',
        'train_cfg.val_interval=4',
        'default_hooks.logger.interval=1',
    )
    assert re.search(r'task: .* kd: .* cosine: ', out)
    assert (tmp_path / 'work_dirs' / 'my_config' / 'student.pth').is_file()


@pytest.mark.slow
def test_every_part_of_ones_own(tmp_path):
    page = (ROOT / 'CONTRIBUTING.md').read_text()
    blocks = examples('CONTRIBUTING.md')
    assert page.count('```python') == len(blocks)
    write(tmp_path, blocks)
    out = call(
        tmp_path,
        'train.py',
        'stripes_config.py',
        '--cfg-options',
        'default_hooks.logger.interval=1',
    )
    assert re.search(r'task: .* consistency: .* features: ', out)
    logged = re.findall(r'weight_norm: ([\d.]+)', out)
    assert len(set(logged)) > 1
    # A row and a column are told apart: chance is 50 %.
    top1 = [float(x) for x in re.findall(r'accuracy/top1: ([\d.]+)', out)]
    assert top1[-1] > 90
    student = 'work_dirs/stripes_config/student.pth'
    saved = load_file(tmp_path / student)['state_dict']
    assert not any('project' in key or 'teacher' in key for key in saved)
    call(
        tmp_path,
        'export_student.py',
        student,
        'student.npz',
        '--format',
        'npz',
        '--import',
        'npz_format',
        '--trust-checkpoints',
    )
    with np.load(tmp_path / 'student.npz') as written:
        assert set(written) == set(saved)
        assert all((written[k] == v.numpy()).all() for k, v in saved.items())
