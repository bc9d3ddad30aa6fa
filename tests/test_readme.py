"""The README's ten-line loss, as a user would try it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny_classifier

from mmdistill.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]


def example(name: str) -> str:
    """The code block of the README that follows the mark of this name."""
    text = (ROOT / 'README.md').read_text()
    pattern = rf'<!-- example: {re.escape(name)} -->\n```python\n(.*?)```'
    return re.search(pattern, text, re.S)[1]


@pytest.mark.slow
def test_ten_line_loss(tmp_path):
    loss = example('my_loss.py')
    assert len([line for line in loss.splitlines() if line.strip()]) <= 10
    (tmp_path / 'my_loss.py').write_text(loss)
    config = example('my_config.py')
    (tmp_path / 'my_config.py').write_text(config)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    teacher = tmp_path / 'teacher.pth'
    torch.save(
        MODELS.build(tiny_classifier(14, (16, 16, 32, 64))).state_dict(),
        teacher,
    )
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / 'tools' / 'train.py'),
            'my_config.py',
            '--cfg-options',
            f'model.teacher_ckpt={teacher}',
            'train_cfg.max_iters=4',
            'train_cfg.val_interval=4',
            'default_hooks.logger.interval=1',
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | dict(OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'task: .* kd: .* cosine: ', done.stdout)
    assert (tmp_path / 'work_dirs' / 'my_config' / 'student.pth').is_file()
