"""Datasets that are one tensor, and runs on them."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import digits_config, run_distributed
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.hooks import Hook
from mmpretrain.datasets import BaseDataset

from mmdistill.datasets import (
    ImageTensorDataset,
    batch_collate,
    dataset_labels,
)
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, HOOKS, MODELS

ROOT = Path(__file__).parents[2]

PACK = dict(type='PackInputs')

EXPORT = {'default_hooks.export_student': dict(type='ExportStudentHook')}

DIGITS = dict(type='Digits', indices=30)

BATCHED = dict(type='ImageTensorDataset', dataset=DIGITS)


@DATASETS.register_module()
class ListedImages(BaseDataset):
    """Images and labels as a test gives them."""

    def __init__(self, images, labels=None, **kwargs):
        self.images, self.labels = images, labels
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        labels = self.labels or [None] * len(self.images)
        return [
            dict(img=image) | ({} if label is None else dict(gt_label=label))
            for image, label in zip(self.images, labels, strict=True)
        ]


def listed(images, labels=None, **kwargs):
    inner = dict(type='ListedImages', images=images, labels=labels, **kwargs)
    return DATASETS.build(dict(type='ImageTensorDataset', dataset=inner))


# The dataset ---------------------------------------------------------------
def test_holds_what_the_dataset_has():
    single, whole = DATASETS.build(DIGITS), DATASETS.build(BATCHED)
    assert whole.images.shape == (30, 1, 8, 8)
    assert whole.images.dtype == torch.uint8
    assert whole.images.is_shared()
    assert len(whole) == 30
    assert whole.metainfo == single.metainfo
    assert whole.CLASSES == tuple('0123456789')
    assert np.array_equal(whole.get_gt_labels(), single.get_gt_labels())
    assert dataset_labels(whole).tolist() == dataset_labels(single).tolist()
    assert whole.get_cat_ids(3) == single.get_cat_ids(3)
    assert 'Images' in repr(whole)
    for i in (0, 7, -1):
        one, other = single.get_data_info(i), whole.get_data_info(i)
        assert np.array_equal(one['img'], other['img'])
        assert one['sample_idx'] == other['sample_idx']
        assert one['gt_label'] == other['gt_label']
    whole.get_data_info(0)['img'][:] = 0
    assert np.array_equal(
        whole.get_data_info(0)['img'], single.get_data_info(0)['img']
    )


def test_single_items_and_other_collate_functions():
    whole = DATASETS.build(BATCHED)
    pick = [3, 1, 29]
    expected = batch_collate(whole.__getitems__(pick))
    labels = expected['data_samples'].gt_label.tolist()
    for collate in (default_collate, pseudo_collate, batch_collate):
        for items in (whole.__getitems__(pick), [whole[i] for i in pick]):
            got = collate(items)
            inputs = torch.stack(tuple(got['inputs']))
            assert torch.equal(inputs, expected['inputs'])
            found = got['data_samples']
            assert [s.sample_idx for s in found] == pick
            assert [int(s.gt_label) for s in found] == labels


def test_parts_of_a_dataset():
    whole = DATASETS.build(BATCHED)
    part = DATASETS.build({**BATCHED, 'indices': [4, 9, 2]})
    subset = whole.get_subset([4, 9, 2])
    assert len(whole) == 30
    whole.get_subset_([4, 9, 2])
    for dataset in (part, subset, whole):
        assert len(dataset) == 3
        batch = batch_collate(dataset.__getitems__([2, 0]))
        assert torch.equal(batch['inputs'], part.images[[2, 0]])
        assert batch['data_samples'].sample_idx.tolist() == [2, 0]
    assert len(DATASETS.build({**BATCHED, 'indices': 5})) == 5


def test_labels_that_are_missing():
    images = [np.full((2, 2, 3), i, np.uint8) for i in range(3)]
    without = listed(images)
    assert dataset_labels(without).tolist() == [-1, -1, -1]
    batch = batch_collate(without.__getitems__([0, 2]))
    assert batch['data_samples'].gt_label is None
    some = listed(images, [1, None, 0])
    assert dataset_labels(some).tolist() == [1, -1, 0]
    grey = listed([image[..., 0] for image in images], [0, 1, 2])
    assert grey.images.shape == (3, 1, 2, 2)


GOOD = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    'images, labels, pipeline, message',
    [
        ([GOOD, GOOD[:3]], [0, 1], [], r'one size.*\(4, 5, 3\).*image 1.*'
         r'\(3, 5, 3\).*Resize'),
        ([GOOD, GOOD[..., 0]], [0, 1], [], r'one size.*\(4, 5, 1\)'),
        ([GOOD / 255.0], [0], [], 'uint8.*float64'),
        ([GOOD], [[0, 2]], [], 'one label'),
        ([GOOD], [0], [PACK], 'leave PackInputs'),
        ([GOOD], [0], [dict(type='RandomFlip', prob=0.5)],
         'RandomFlip.*only once.*BatchAugmentPreprocessor'),
    ])  # fmt: skip
def test_bad_images(images, labels, pipeline, message):
    with pytest.raises(ValueError, match=message):
        listed(images, labels, pipeline=pipeline)


# Training ------------------------------------------------------------------
@HOOKS.register_module()
class BatchedStopHook(Hook):
    """Stops a run as a kill would."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


def batched_config(work_dir, losses=None, workers=0, **kwargs):
    """The digits run of `helpers`, on whole batches."""
    cfg = digits_config(work_dir, losses, **kwargs)
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        inner = loader.dataset.to_dict()
        inner.pop('pipeline')
        loader.dataset = dict(
            type='ImageTensorDataset', dataset=inner, pipeline=[PACK]
        )
        loader.collate_fn = dict(type='batch_collate')
        loader.num_workers = workers
    cfg.model.data_preprocessor.update(
        type='BatchAugmentPreprocessor', crop_padding=1, flip_prob=0.5
    )
    return cfg


def state(runner):
    states = dict(runner.model.state_dict())
    for i, group in runner.optim_wrapper.state_dict()['state'].items():
        states |= {f'optimizer.{i}.{k}': v for k, v in group.items()}
    return {k: torch.as_tensor(v) for k, v in states.items()}


CRD = dict(
    kd=dict(type='KDLoss'),
    crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8),
)


def train(work_dir, workers=0, stop=False, resume=False, student=False):
    hooks = [dict(type='BatchedStopHook')] if stop else []
    cfg = batched_config(
        work_dir, CRD, workers, custom_hooks=hooks, resume=resume
    )
    if student:  # alone: MMPretrain's classifier on whole batches
        cfg.model.student.data_preprocessor = cfg.model.data_preprocessor
        cfg.model = cfg.model.student
    else:
        cfg.model.teacher_ckpt = teacher_file(work_dir.parent, cfg)
    runner = DistillRunner.from_cfg(cfg)
    torch.rand(3 if resume else 1)  # what came before must not matter
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop
    return runner


def teacher_file(folder, cfg):
    path = folder / 'teacher.pth'
    if not path.exists():
        torch.manual_seed(1)
        torch.save(MODELS.build(cfg.model.teacher).state_dict(), path)
    return str(path)


@pytest.mark.parametrize('student', [False, True])
def test_resumed_equals_never_stopped(tmp_path, student):
    whole = state(train(tmp_path / 'whole', workers=2, student=student))
    train(tmp_path / 'parts', stop=True, student=student)
    parts = state(train(tmp_path / 'parts', resume=True, student=student))
    assert whole.keys() == parts.keys()
    assert any('optimizer' in key for key in whole)
    assert student or any('bank' in key for key in whole)
    assert not [k for k in whole if not torch.equal(whole[k], parts[k])]


def test_crd_learns_the_dataset(tmp_path):
    runner = train(tmp_path / 'run')
    loader = runner.train_dataloader
    labels = dataset_labels(loader.dataset)
    for bank in (
        runner.model.losses.crd.bank_student,
        runner.model.losses.crd.bank_teacher,
    ):
        assert len(bank.features) == 96
        assert torch.equal(bank.labels, labels)
    data = runner.model.data_preprocessor(next(iter(loader)), True)
    fields = runner.model.batch_fields(data['data_samples'], 'cpu')
    assert torch.equal(fields['label'], labels[fields['sample_idx']])
    # a plain list of the same samples says the same
    listed = runner.model.batch_fields(list(data['data_samples']), 'cpu')
    assert fields.keys() == listed.keys()
    assert all(torch.equal(fields[k], listed[k]) for k in fields)


@pytest.mark.parametrize('validated', [False, True])
def test_queue_is_prefilled(tmp_path, validated):
    cfg = batched_config(
        tmp_path / 'run',
        dict(nce=dict(type='InfoNCELoss', level='feature', queue_size=40)),
        **{
            'default_hooks.queue': dict(type='QueueHook', prefill=40),
            'model.teacher.backbone.widths': (4, 4, 8, 16),
            'model.teacher.head.in_channels': 16,
        },
    )
    cfg.model.teacher_ckpt = teacher_file(tmp_path, cfg)
    runner = DistillRunner.from_cfg(cfg)
    if validated:
        runner.val()
    lengths = []
    queue = runner.model.losses.nce.queue
    runner.model.losses.nce.register_forward_pre_hook(
        lambda *_: lengths.append(len(queue))
    )
    runner.train()
    # Two batches of 32 fill it, then six steps find it full.
    assert lengths == [0, 32] + 6 * [40]


def load_test_tool():
    """tools/test.py as a module."""
    path = ROOT / 'tools' / 'test.py'
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location('the_test_tool', path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    sys.path.remove(str(path.parent))
    return tool


@pytest.mark.parametrize('tta', [False, True])
def test_accuracy_is_the_per_image_pipelines(tmp_path, tta):
    """Of a checkpoint and of the exported student."""
    cfg = batched_config(tmp_path / 'run', **EXPORT)
    cfg.model.teacher_ckpt = teacher_file(tmp_path, cfg)
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    expected = runner.val_loop.run()['accuracy/top1']

    def accuracy(cfg, checkpoint, workers=0):
        cfg.load_from = str(tmp_path / 'run' / checkpoint)
        cfg.model.teacher_ckpt = None
        cfg.experiment_name = f'test_{os.urandom(4).hex()}'
        cfg.test_dataloader.num_workers = workers
        if tta:
            load_test_tool().use_tta(cfg)
        return DistillRunner.from_cfg(cfg).test()['accuracy/top1']

    folder = tmp_path / 'tests'
    reference = accuracy(digits_config(folder), 'epoch_2.pth')
    for workers in (0, 2):
        for checkpoint in ('epoch_2.pth', 'student.pth'):
            ours = accuracy(batched_config(folder), checkpoint, workers)
            assert ours == reference
    if not tta:
        assert reference == expected


def test_exported_student_stands_alone(tmp_path):
    """Its own config builds it, and prepares and classifies an image."""
    cfg = batched_config(tmp_path / 'run', **EXPORT)
    cfg.model.teacher_ckpt = teacher_file(tmp_path, cfg)
    DistillRunner.from_cfg(cfg).train()
    checkpoint = torch.load(tmp_path / 'run' / 'student.pth')
    exported = Config.fromstring(checkpoint['meta']['cfg'], '.py')
    assert exported.test_dataloader.dataset.pipeline == [PACK]
    # augmentation is for training: nothing of it is left
    assert exported.model.data_preprocessor.type == 'ClsDataPreprocessor'
    assert 'crop_padding' not in exported.model.data_preprocessor
    model = MODELS.build(exported.model).eval()
    model.load_state_dict(checkpoint['state_dict'])
    digits = DATASETS.build(
        dict(type='Digits', pipeline=exported.test_dataloader.dataset.pipeline)
    )
    data = default_collate([digits[i] for i in range(3)])
    assert [s.pred_score.shape for s in model.test_step(data)] == [(10,)] * 3


def share(rank, world, folder):
    """Each process's batches, and a step of training under DDP."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    cfg = batched_config(
        folder,
        CRD,
        launcher='none' if world == 1 else 'pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
        **{'train_cfg.max_epochs': 1, 'train_dataloader.batch_size': 16},
    )
    cfg.model.teacher_ckpt = f'{folder}/../teacher.pth'
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    model = getattr(runner.model, 'module', runner.model)
    rows = []
    for data in runner.train_dataloader:
        data = model.data_preprocessor(data, True)
        rows.append((data['data_samples'].sample_idx, data['inputs']))
    index, images = (torch.cat(column) for column in zip(*rows, strict=True))
    banks = model.losses.crd.bank_student.features
    return dict(index=index, images=images, banks=banks)


@pytest.mark.slow
def test_two_processes_see_what_one_sees(tmp_path):
    teacher_file(tmp_path, batched_config(tmp_path / 'run'))
    one = share(0, 1, str(tmp_path / 'one'))
    two = run_distributed(share, 2, str(tmp_path / 'two'))
    by_index = one['images'][one['index'].argsort()].numpy()
    assert len(by_index) == 96
    index = np.concatenate([part['index'] for part in two])
    images = np.concatenate([part['images'] for part in two])
    assert sorted(index) == list(range(96))
    assert np.array_equal(images, by_index[index])
    np.testing.assert_array_equal(two[0]['banks'], two[1]['banks'])


# Configs -------------------------------------------------------------------
def test_configs_differ_in_the_way_only():
    """The same images, statistics, crop, flip, batches and metrics."""
    folder = ROOT / 'configs/_base_/datasets'
    single = Config.fromfile(folder / 'cifar100.py')
    whole = Config.fromfile(folder / 'cifar100_batched.py')
    ours = whole.data_preprocessor.to_dict()
    crop, flip, _ = single.train_pipeline
    assert ours.pop('type') == 'BatchAugmentPreprocessor'
    assert (crop.crop_size, flip.direction) == (32, 'horizontal')
    assert ours.pop('crop_padding') == crop.padding
    assert ours.pop('flip_prob') == flip.prob
    assert ours == single.data_preprocessor.to_dict()
    for part in ('train', 'val', 'test'):
        one = single[f'{part}_dataloader'].to_dict()
        other = whole[f'{part}_dataloader'].to_dict()
        assert one['dataset'].pop('_scope_') == other['dataset'].pop('_scope_')
        pipeline = one['dataset'].pop('pipeline')
        assert other['dataset'].pop('type') == ImageTensorDataset.__name__
        assert other['dataset'].pop('pipeline') == pipeline[-1:]
        assert other.pop('dataset')['dataset'] == one.pop('dataset')
        assert other.pop('collate_fn') == dict(type='batch_collate')
        assert other.pop('num_workers') <= one.pop('num_workers')
        assert one == other
    for key in ('val_evaluator', 'test_evaluator'):
        assert single[key] == whole[key]
