"""Files of students that are not believed."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_classifier
from mmengine.config import Config

from mmdistill.checkpoints import CheckpointError
from mmdistill.export.students import load_student
from mmdistill.registry import MODELS


def test_the_size_of_a_file_is_checked(tmp_path):
    cfg = Config(dict(model=tiny_classifier(), default_scope='mmdistill'))
    state = MODELS.build(cfg.model).state_dict()
    path = str(tmp_path / 'student.pth')
    for size in ((16,), (0, 16), ('a', 'b'), (10**9, 10**9)):
        meta = dict(cfg=cfg.pretty_text, input_size=size)
        torch.save(dict(state_dict=state, meta=meta), path)
        with pytest.raises(CheckpointError, match='meta.input_size in'):
            load_student(path)
