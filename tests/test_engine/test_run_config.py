"""What the tools do alike with a config."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config, ConfigDict

from mmdistill.engine.run_config import (
    leave_out_teachers,
    require_file,
    set_dataloader_defaults,
)


@pytest.mark.parametrize('workers', [0, 2])
def test_dataloader_defaults_are_those_torch_takes(workers):
    loader = dict(num_workers=workers, pin_memory=True, prefetch_factor=4)
    cfg = Config(dict(val_dataloader=loader, test_dataloader=None))
    set_dataloader_defaults(cfg)
    completed = cfg.val_dataloader
    assert completed.persistent_workers == (workers > 0)
    assert completed.pin_memory == torch.cuda.is_available()
    assert ('prefetch_factor' in completed) == (workers > 0)
    assert completed.collate_fn.type == 'default_collate'

    set_dataloader_defaults(cfg, pin_memory=False, persistent_workers=False)
    assert not completed.persistent_workers and not completed.pin_memory


def test_a_file_that_is_needed(tmp_path):
    (tmp_path / 'here.pth').touch()
    require_file(str(tmp_path / 'here.pth'), 'the checkpoint')
    require_file('https://example.org/there.pth', 'the checkpoint')
    with pytest.raises(FileNotFoundError, match="the checkpoint 'gone.pth'"):
        require_file('gone.pth', 'the checkpoint')


@pytest.mark.parametrize('keep', [None, 'teacher', 'big'])
def test_files_of_teachers_are_for_training_alone(keep):
    teachers = dict(big=dict(ckpt='b.pth'), small=dict(ckpt='s.pth'))
    model = ConfigDict(teacher_ckpt='t.pth', teachers=teachers)
    leave_out_teachers(model, keep)
    found = dict(
        teacher=model.teacher_ckpt,
        **{name: one.ckpt for name, one in model.teachers.items()},
    )
    expected = dict(teacher='t.pth', big='b.pth', small='s.pth')
    assert found == {
        name: path if name == keep else None for name, path in expected.items()
    }
    plain = ConfigDict(type='ImageClassifier')
    leave_out_teachers(plain)
    assert plain == dict(type='ImageClassifier')
