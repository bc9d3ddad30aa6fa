"""Mistakes of a config: the tool's last line names the key and what is near.

Each is planted in a sound config and given to the real tool, which has to
end within three seconds, without a traceback and before the first step.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PATIENCE = 3.0

DIGITS = f"""
_base_ = '{CONFIGS}/quickstart/kd_digits.py'
model = dict(teacher_ckpt=None)
train_cfg = dict(max_iters=1)
"""
FOLDERS = f"""
_base_ = '{CONFIGS}/_base_/runtime.py'
net = dict(type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8, widths=(4, 4, 8, 16)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=16))
model = dict(type='OfflineDistiller', student=net, teacher=net,
    input_size=(3, 8, 8), losses=dict(kd=dict(type='KDLoss')))
data_preprocessor = dict(num_classes=2)
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
images = dict(type='CustomDataset', data_root='images', pipeline=pipeline)
train_dataloader = dict(batch_size=4, num_workers=0,
    dataset=dict(images, data_prefix='train'),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(batch_size=4, num_workers=0,
    dataset=dict(images, data_prefix='val'),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='Accuracy')
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
"""
#: The lines that are added, and what the last line has to have: the key, and
#: what was meant.
IN_DIGITS = {
    'top-level key': (
        'train_dataloder = dict(batch_size=4)',
        "train_dataloder: .*'train_dataloader'",
    ),
    'hook': (
        "default_hooks = dict(mine=dict(type='EMAHok'))",
        "default_hooks.mine.type: 'EMAHok' .*'EMAHook'",
    ),
    'key of a hook': (
        'default_hooks = dict(chekpoint=dict(interval=1))',
        'default_hooks.chekpoint.*did you mean checkpoint',
    ),
    'argument of a hook': (
        'default_hooks = dict(checkpoint=dict(intervall=1))',
        r'default_hooks.checkpoint.intervall: \w*CheckpointHook takes no '
        "'intervall'; did you mean .*interval",
    ),
    'dataset': (
        "train_dataloader = dict(dataset=dict(type='Digist'))",
        "train_dataloader.dataset.type: 'Digist' .*'Digits'",
    ),
    'argument of a dataset': (
        "train_dataloader = dict(dataset=dict(spilt='train'))",
        "train_dataloader.dataset.spilt: .*'split'",
    ),
    'setting of a dataloader': (
        'train_dataloader = dict(num_worker=2)',
        "train_dataloader.num_worker: .*'num_workers'",
    ),
    'transform': (
        "val_dataloader = dict(dataset=dict(pipeline=[dict(type='PakInputs')]"
        '))',
        "val_dataloader.dataset.pipeline.0.type: .*'PackInputs'",
    ),
    'argument of a transform': (
        'train_dataloader = dict(dataset=dict(pipeline=[dict('
        "type='RandomCrop', crop_sise=8), dict(type='PackInputs')]))",
        "pipeline.0.crop_sise: RandomCrop takes no .*'crop_size'",
    ),
    'metric': (
        "val_evaluator = dict(_delete_=True, type='Acuracy')",
        "val_evaluator.type: 'Acuracy' .*'Accuracy'",
    ),
    'loss': (
        "model = dict(losses=dict(kd=dict(type='KDLos')))",
        "model.losses.kd.type: 'KDLos' .*'KDLoss'",
    ),
    'argument of a loss': (
        'model = dict(losses=dict(kd=dict(temprature=2.0)))',
        "model.losses.kd.temprature: KDLoss takes no 'temprature'; did you "
        "mean 'temperature'",
    ),
    'distiller': (
        "model = dict(type='OflineDistiller')",
        "model.type: 'OflineDistiller' .*'OfflineDistiller'",
    ),
    'backbone': (
        "model = dict(student=dict(backbone=dict(type='CIFARResNat')))",
        "model.student.backbone.type: .*'CIFARResNet'",
    ),
    'target': (
        "model = dict(losses=dict(kd=dict(target='techer')))",
        "losses.kd .*target 'techer'.*Did you mean 'teacher'",
    ),
    'optimizer': (
        "optim_wrapper = dict(optimizer=dict(type='AdmaW'))",
        "optim_wrapper.optimizer.type: 'AdmaW' .*'AdamW'",
    ),
    'argument of an optimizer': (
        'optim_wrapper = dict(optimizer=dict(weight_decai=0.1))',
        "optim_wrapper.optimizer.weight_decai: .*'weight_decay'",
    ),
    'scheduler': (
        "param_scheduler = dict(_delete_=True, type='CosineAnealingLR')",
        "param_scheduler.type: .*'CosineAnnealingLR'",
    ),
    'loop': (
        "train_cfg = dict(type='IterBasedTrainLop')",
        "train_cfg.type: .*'IterBasedTrainLoop'",
    ),
    'argument of a loop': (
        'train_cfg = dict(val_intervals=3)',
        "train_cfg.val_intervals: .*'val_interval'",
    ),
    'seed': ('randomness = dict(sed=1)', "randomness.sed: .*'seed'"),
    'file of the teacher': (
        "model = dict(teacher_ckpt='weights/teachr.pth')",
        "model.teacher_ckpt: .*'weights/teachr.pth' .*'teacher.pth'",
    ),
    'file to begin with': (
        "load_from = 'weights/student.pth'",
        "load_from: .*'weights/student.pth' does not exist",
    ),
    'file of a backbone': (
        'model = dict(student=dict(backbone=dict(init_cfg=dict('
        "type='Pretrained', checkpoint='weight/teacher.pth'))))",
        'model.student.backbone.init_cfg.checkpoint: .*no folder .weight',
    ),
    'base': (
        f"_base_ = ['{CONFIGS}/quickstart/kd_digit.py']",
        r"_base_ of the config '.*mistake.py' names .*'kd_digits.py'",
    ),
    'half a validation': (
        'val_cfg = None',
        'val_cfg: val_cfg is not set, but val_dataloader and val_evaluator',
    ),
    'nothing to train': (
        'train_cfg = train_dataloader = optim_wrapper = None\n'
        'param_scheduler = None',
        'trains nothing, as it has no train_cfg',
    ),
    'validation without data': (
        'val_dataloader = dict(_delete_=True, batch_size=4, '
        "sampler=dict(type='DefaultSampler', shuffle=False))",
        'val_dataloader.dataset: it has no dataset',
    ),
    'metric to save by': (
        "default_hooks = dict(checkpoint=dict(save_best='acuracy/top1'))",
        "default_hooks.checkpoint.save_best: .*'accuracy/top1'",
    ),
    'metric to export by': (
        "default_hooks = dict(export_student=dict(metric='accuracy/top5'))",
        "default_hooks.export_student.metric: .*'accuracy/top1'",
    ),
    'labels beyond the scores': (
        'model = dict(student=dict(head=dict(num_classes=7)),'
        'teacher=dict(head=dict(num_classes=7)))',
        'model.student.head.num_classes: there are 7 .*labels 0 to 9 .*set '
        'model.student.head.num_classes=10',
    ),
    'bank of whole numbers': (
        "model = dict(losses=dict(crd=dict(type='CRDLoss', "
        "bank_dtype='int8')))",
        "model.losses.crd .*'float32'.*got 'int8'; change bank_dtype",
    ),
    'queue of whole numbers': (
        "model = dict(losses=dict(crd=dict(type='CRDLoss', queue_size=64, "
        "bank_dtype='int8')))",
        "model.losses.crd .*'float32'.*got 'int8'; change queue_dtype .*bank",
    ),
}
IN_FOLDERS = {
    'folder of the data': (
        "train_dataloader = dict(dataset=dict(data_root='image'))",
        "train_dataloader.dataset.data_root: .*'image' .*'images'",
    ),
    'folder below it': (
        "val_dataloader = dict(dataset=dict(data_prefix='vall'))",
        "val_dataloader.dataset.data_prefix: .*'val'",
    ),
    'list of images': (
        "train_dataloader = dict(dataset=dict(ann_file='listt.txt'))",
        "train_dataloader.dataset.ann_file: .*'list.txt'",
    ),
    'labels of a list': (
        "train_dataloader = dict(dataset=dict(ann_file='list.txt'))",
        'model.student.head.num_classes: there are 2 .*labels 0 to 4',
    ),
    'class folders that differ': (
        "val_dataloader = dict(dataset=dict(data_prefix='other'))",
        'val_dataloader.dataset .*train_dataloader.dataset.*only the first '
        "has .'cat'.; only the second has .'cow'.",
    ),
    'more class folders than scores': (
        "train_dataloader = dict(dataset=dict(data_prefix='three'))\n"
        "val_dataloader = dict(dataset=dict(data_prefix='three'))",
        r'model.student.head.num_classes: there are 2 .*ant, bee, cat.*=3',
    ),
    'names of classes': (
        "train_dataloader = dict(dataset=dict(classes=['dog']))",
        'train_dataloader.dataset.classes: 1 classes .*2 folders .cat, dog',
    ),
}


@pytest.fixture(scope='module')
def place(tmp_path_factory) -> Path:
    """A folder with weights and images, and the two sound configs."""
    folder = tmp_path_factory.mktemp('planted')
    (folder / 'weights').mkdir()
    (folder / 'weights' / 'teacher.pth').touch()
    splits = dict(
        train=('cat', 'dog'),
        val=('cat', 'dog'),
        other=('cow', 'dog'),
        three=('ant', 'bee', 'cat'),
    )
    image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for split, names in splits.items():
        for name in names:
            where = folder / 'images' / split / name
            where.mkdir(parents=True)
            for i in range(2):
                image.save(where / f'{i}.png')
    lines = [f'cat/{i}.png {4 * i}' for i in range(2)]
    (folder / 'images' / 'list.txt').write_text('\n'.join(lines))
    (folder / 'digits.py').write_text(DIGITS)
    (folder / 'folders.py').write_text(FOLDERS)
    return folder


@pytest.fixture
def last_line(main, place, monkeypatch, capsys):
    """Runs a tool that has to fail, and gives what it said last."""
    monkeypatch.chdir(place)
    monkeypatch.delenv('MMDISTILL_DEBUG')

    def call(tool: str, *options: object) -> str:
        start = time.perf_counter()
        with pytest.raises(SystemExit) as end:
            main(tool, *options)
        seconds = time.perf_counter() - start
        said = capsys.readouterr()
        text = said.err
        if isinstance(end.value.code, str):
            text += end.value.code  # the interpreter prints it
        else:
            assert end.value.code == 1
        assert 'Traceback' not in said.out + text
        assert 'Iter(train)' not in said.out
        assert seconds < PATIENCE
        last = text.strip().splitlines()[-1]
        assert last.startswith('error: ')
        return last

    return call


def plant(place: Path, base: str, lines: str) -> Path:
    config = place / 'mistake.py'
    first = '' if lines.startswith('_base_') else f"_base_ = './{base}.py'\n"
    config.write_text(f'{first}{lines}\nlog_level = "ERROR"\n')
    return config


MISTAKES = [
    *(('digits', name) for name in IN_DIGITS),
    *(('folders', name) for name in IN_FOLDERS),
]


@pytest.mark.parametrize(('base', 'name'), MISTAKES)
def test_a_mistake(last_line, place, base, name):
    lines, said = dict(digits=IN_DIGITS, folders=IN_FOLDERS)[base][name]
    config = plant(place, base, lines)
    line = last_line(
        'train', config, '--cfg-options', f'experiment_name={time.time_ns()}'
    )
    assert re.search(said, line), line


def test_a_model_that_no_library_has(last_line, place):
    config = plant(
        place, 'digits', "model = dict(student=dict(type='timm/resnet19'))"
    )
    line = last_line('train', config)
    assert "model.student.type: timm has no model 'resnet19'" in line
    assert 'did you mean' in line


def test_all_mistakes_are_told_at_once(main, place, monkeypatch, capsys):
    config = plant(
        place,
        'digits',
        'model = dict(losses=dict(kd=dict(temprature=2.0)))\n'
        "optim_wrapper = dict(optimizer=dict(type='AdmaW'))\n"
        "load_from = 'nowhere.pth'",
    )
    monkeypatch.delenv('MMDISTILL_DEBUG')
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit):
        main('train', config)
    first, *others = capsys.readouterr().err.strip().splitlines()[-4:]
    assert first == f"error: the config '{config}' has 3 mistakes"
    keys = 'model.losses.kd.temprature', 'optim_wrapper.opt', 'load_from'
    for key, line in zip(keys, others, strict=True):
        assert line.startswith(f'error: {key}')


def test_a_missing_config_in_a_comparison(last_line, place):
    line = last_line('compare', 'digits.py', 'folderz.py')
    assert "the config 'folderz.py' is not a file" in line


def test_a_mistake_in_a_comparison(last_line, place):
    config = plant(
        place, 'digits', 'model = dict(losses=dict(kd=dict(temprature=2.0)))'
    )
    line = last_line('compare', 'digits.py', config)
    assert 'mistake.py: model.losses.kd.temprature' in line


def test_an_option(last_line, place):
    options = ['--cfg-options', 'model.losses.kd.temprature=2']
    line = last_line('train', 'digits.py', *options)
    assert 'model.losses.kd.temprature: KDLoss takes no' in line


def test_a_file_to_test(last_line, place):
    line = last_line('test', 'digits.py', 'nowhere.pth')
    assert "the checkpoint 'nowhere.pth' is not a file" in line


@pytest.mark.parametrize('base', ['digits', 'folders'])
def test_the_sound_ones_train(main, place, monkeypatch, base):
    monkeypatch.chdir(place)
    name = f'experiment_name={time.time_ns()}'
    main('train', f'{base}.py', '--cfg-options', 'log_level=ERROR', name)
    assert (place / 'work_dirs' / base / 'student.pth').is_file()
