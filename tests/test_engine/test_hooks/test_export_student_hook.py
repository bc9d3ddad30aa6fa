"""The student is exported at the end and at its best."""

import json
import subprocess
import sys

import pytest
import torch
from helpers import digits_config
from mmengine.config import Config

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, MODELS


def exported(tmp_path, **kwargs):
    cfg = digits_config(
        tmp_path, custom_hooks=[dict(type='ExportStudentHook')], **kwargs
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    return runner


def test_exports_at_the_end_and_at_the_best(tmp_path):
    runner = exported(tmp_path)
    final = load_file(tmp_path / 'student.pth')
    state = runner.model.student.state_dict()
    assert final['state_dict'].keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(final['state_dict'][key], value)
    best = load_file(tmp_path / 'student_best.pth')
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    scores = [
        record['accuracy/top1']
        for record in map(json.loads, scalars.read_text().splitlines())
        if 'accuracy/top1' in record
    ]
    assert best['meta']['score'] == pytest.approx(max(scores))
    assert not list(tmp_path.glob('*.tmp*'))

    # the file alone builds the student again
    cfg = Config.fromstring(final['meta']['cfg'], '.py')
    assert cfg.default_scope == 'mmdistill'
    student = MODELS.build(cfg.model).eval()
    student.load_state_dict(final['state_dict'])
    images = torch.rand(4, 1, 8, 8)
    expected = runner.model.eval()(images)
    torch.testing.assert_close(student(images), expected)


def test_resumed_run_keeps_the_better_file(tmp_path):
    exported(tmp_path)
    path = tmp_path / 'student_best.pth'
    best = load_file(path)
    best['meta']['score'] = 100.5  # better than anything to come
    torch.save(best, path)
    exported(tmp_path, **{'resume': True, 'train_cfg.max_epochs': 3})
    assert load_file(path)['meta']['score'] == 100.5
    exported(tmp_path)  # a fresh run in an old folder starts anew
    assert load_file(path)['meta']['score'] <= 100


def test_mmpretrain_student_needs_mmpretrain_alone(tmp_path):
    student = dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=1280),
    )
    cfg = digits_config(
        tmp_path, custom_hooks=[dict(type='ExportStudentHook')]
    )
    cfg.model.student = student
    cfg.model.teacher.backbone.in_channels = 3
    cfg.model.input_size = (3, 32, 32)
    to_rgb = dict(type='Resize', scale=32)
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):  # fmt: skip
        loader.dataset.type = 'ColourDigits'
        loader.dataset.pipeline = [to_rgb, dict(type='PackInputs')]
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(cfg).train()

    code = f"""
import sys, torch
from mmpretrain.apis import ImageClassificationInferencer
from mmengine.config import Config
ckpt = torch.load({str(tmp_path / 'student.pth')!r}, weights_only=True)
cfg = Config.fromstring(ckpt['meta']['cfg'], '.py')
assert cfg.default_scope == 'mmpretrain'
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
register_all_modules()
model = MODELS.build(cfg.model)
print(model.load_state_dict(ckpt['state_dict']))
assert not any(name.startswith('mmdistill') for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'All keys matched' in done.stdout


@DATASETS.register_module()
class ColourDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return [
            info | dict(img=info['img'].repeat(3, 2))
            for info in super().load_data_list()
        ]


def test_unknown_metric(tmp_path):
    hook = dict(type='ExportStudentHook', metric='accuracy/top5')
    cfg = digits_config(tmp_path, custom_hooks=[hook])
    with pytest.raises(KeyError, match='accuracy/top1'):
        DistillRunner.from_cfg(cfg).train()
