"""The teacher is tested before it teaches."""

import json

import pytest
import torch
from helpers import digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner


def teacher_check(tmp_path, min_accuracy, **kwargs):
    hook = dict(type='TeacherCheckHook', min_accuracy=min_accuracy)
    return digits_config(tmp_path, custom_hooks=[hook], **kwargs)


def test_teacher_is_evaluated_and_logged(tmp_path):
    runner = DistillRunner.from_cfg(teacher_check(tmp_path, 0.0))
    runner.train()
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    records = [*map(json.loads, scalars.read_text().splitlines())]
    # one line for each validation has both, as tools that plot them expect
    record, again = (r for r in records if 'lr' not in r)
    assert 'accuracy/top1' in record
    key = 'teacher/accuracy/top1'
    assert record[key] == again[key]
    teacher, loader = runner.model.teacher, runner.val_dataloader
    right = total = 0
    for batch in loader:
        data = runner.model.data_preprocessor(batch, False)
        answer = teacher(data['inputs']).argmax(1)
        label = torch.cat([s.gt_label for s in data['data_samples']])
        right += int((answer == label).sum())
        total += len(label)
    assert total == 100
    assert record['teacher/accuracy/top1'] == pytest.approx(
        100 * right / total
    )


def test_bad_teacher_stops_the_run(tmp_path):
    with pytest.raises(RuntimeError, match='below min_accuracy=90.*lower'):
        DistillRunner.from_cfg(teacher_check(tmp_path, 90)).train()


def test_no_validation_set_for_min_accuracy(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='val_dataloader'):
        DistillRunner.from_cfg(cfg).train()


def test_no_teacher(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    cfg.model = tiny_classifier()
    with pytest.raises(ValueError, match='frozen teacher'):
        DistillRunner.from_cfg(cfg).train()
    cfg.custom_hooks = [dict(type='TeacherCheckHook')]
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(cfg).train()


def test_a_bad_teacher_of_several_is_called_by_its_keys(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    network = cfg.model.pop('teacher')
    cfg.model.teachers = dict(good=dict(model=network))
    cfg.model.losses.kd.target = 'good'
    with pytest.raises(
        RuntimeError,
        match=r'model\.teachers\.good\.ckpt.*teachers\.good\.preprocessor',
    ):
        DistillRunner.from_cfg(cfg).train()
