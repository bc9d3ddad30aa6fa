import pytest
import torch
from helpers import digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS

PAIR = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='TeacherView', transforms=[dict(type='Resize', scale=16)]),
    dict(type='Resize', scale=4),
    dict(type='PackPairInputs'),
]


def test_each_sees_its_own_of_one_crop():
    dataset = DATASETS.build(
        dict(
            type='Digits',
            pipeline=[PAIR[0], dict(type='TeacherView'), PAIR[3]],
        )
    )
    item = dataset[0]
    assert torch.equal(item['inputs'], item['teacher_inputs'])
    item = DATASETS.build(dict(type='Digits', pipeline=PAIR))[0]
    assert item['inputs'].shape == (1, 4, 4)
    assert item['teacher_inputs'].shape == (1, 16, 16)
    assert item['data_samples'].gt_label.shape == (1,)


def test_without_a_teacher_view():
    dataset = DATASETS.build(dict(type='Digits', pipeline=PAIR[2:]))
    with pytest.raises(KeyError, match='TeacherView'):
        dataset[0]


def test_real_run(tmp_path):
    hook = dict(type='TeacherCheckHook', min_accuracy=0.0)
    cfg = digits_config(tmp_path, **{'default_hooks.teacher_check': hook})
    cfg.model.teacher = tiny_classifier(depth=14)
    cfg.model.update(
        teacher_preprocessor=dict(mean=[0.0], std=[1.0]),
        input_size=(1, 4, 4),
        teacher_input_size=(1, 16, 16),
    )
    cfg.train_dataloader.dataset.pipeline = PAIR
    cfg.val_dataloader.dataset.pipeline = PAIR[1:]
    cfg.val_evaluator = [dict(type='Accuracy', topk=1), dict(type='AUC')]
    runner = DistillRunner.from_cfg(cfg)
    seen = []
    runner.model.teacher.register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape[1:]))
    )
    runner.model.teacher.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(tuple(args[0].shape[1:]))
    )
    runner.train()
    assert set(seen) == {(1, 16, 16)}
