"""Whose features are tested: the student, or another part."""

import pytest
import torch
from helpers import tiny_classifier
from knn_runs import knn_config

from mmdistill.engine.runner import DistillRunner


def test_a_frozen_teacher_sees_its_own_images(tmp_path):
    """Prepared by its own preprocessor, as it is in training."""
    cfg = knn_config(tmp_path, k=(20,), part='teacher')
    cfg.model.teacher_preprocessor = dict(mean=[20.0], std=[3.0])
    runner = DistillRunner.from_cfg(cfg)
    found = runner.val()
    alone = knn_config(tmp_path / 'alone', k=(20,))
    alone.model = dict(
        cfg.model.teacher, data_preprocessor=cfg.model.teacher_preprocessor
    )
    alone = DistillRunner.from_cfg(alone)
    alone.model.load_state_dict(runner.model.teacher.state_dict())
    assert list(found) == ['knn/teacher_top1_k20', 'knn/teacher_top5_k20']
    assert list(found.values()) == list(alone.val().values())


def test_a_slow_student_beside_a_teacher(tmp_path):
    cfg = knn_config(tmp_path, k=(20,), part='slow_student')
    cfg.model.update(type='CoCoRD', losses={}, queue_size=64)
    runner = DistillRunner.from_cfg(cfg)
    slow = runner.model.slow_student
    torch.nn.init.normal_(slow.backbone.conv1.weight)
    alone = knn_config(tmp_path / 'alone', k=(20,))
    alone.model = dict(
        cfg.model.student, data_preprocessor=cfg.model.data_preprocessor
    )
    alone = DistillRunner.from_cfg(alone)
    alone.model.load_state_dict(slow.state_dict())
    found = runner.val()
    assert 'knn/slow_student_top1_k20' in found
    assert list(found.values()) == list(alone.val().values())


@pytest.mark.parametrize('stage', ['val', 'test'])
@pytest.mark.parametrize('part', ['teacher', 'tutor'])
def test_a_part_that_the_model_does_not_have(tmp_path, stage, part):
    cfg = knn_config(tmp_path, stage, part=part)
    if part == 'teacher':
        cfg.model = dict(
            tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
        )
    run = getattr(DistillRunner.from_cfg(cfg), stage)
    named = f"{stage}_cfg.part='{part}' is no part of .*'student'.*full check"
    with pytest.raises(ValueError, match=named):
        run()
