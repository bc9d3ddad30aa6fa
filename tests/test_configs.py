"""Every config builds, takes a real step, and can be tested."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.structures import DataSample

from mmdistill.models.backbones.zoo import CIFAR_ZOO, cifar_classifier
from mmdistill.registry import DATASETS, MODELS

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted(
    str(p.relative_to(CONFIGS))
    for p in CONFIGS.glob('*/*.py')
    if p.parent.name != '_base_'
)


@DATASETS.register_module()
class RandomImages(BaseDataset):
    """Stands in for a dataset that is not on this disk: its size only."""

    def __init__(self, shape, classes, pipeline, **_):
        self.shape, self.classes = shape, classes
        super().__init__(ann_file='', pipeline=pipeline)

    def load_data_list(self):
        draw = np.random.RandomState(0)
        return [
            dict(
                img=draw.randint(0, 256, self.shape).astype(np.uint8),
                gt_label=i % self.classes,
            )
            for i in range(24)
        ]


def small(cfg: Config, work_dir) -> Config:
    """The override: few images, one step, no files but in work_dir."""
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.num_workers = 0
        loader.batch_size = 8
        if loader.dataset.type == 'Digits':
            loader.dataset.indices = 24
        else:
            loader.dataset = dict(
                type='RandomImages',
                shape=(32, 32, 3),
                classes=cfg.data_preprocessor.num_classes,
                pipeline=[
                    t for t in loader.dataset.pipeline if 'Load' not in t.type
                ],
            )
    if 'teacher_ckpt' in cfg.model:
        cfg.model.teacher_ckpt = None
    if 'queue_size' in cfg.model:
        cfg.model.queue_size = 16
    for memory in cfg.model.get('memories', {}).values():
        memory.size = 16
    for hook in cfg.custom_hooks:
        if hook.type == 'QueueHook':
            hook.prefill = 16
    if cfg.train_cfg.get('type') == 'StagedTrainLoop':
        loader = cfg.train_dataloader
        loader.batch_size = 24  # one step a stage
        cfg.train_cfg.update(max_epochs=1, first_stage_epochs=1)
    else:
        cfg.train_cfg = dict(by_epoch=False, max_iters=1, val_interval=1)
        cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    return cfg


def test_there_are_leaves():
    folders = {Path(leaf).parts[0] for leaf in LEAVES}
    methods = (
        'kd fitnet at sp cc vid rkd pkt ab ft fsp nst crd wcord cocord '
        'protocpc infonce vanilla quickstart privileged'
    )
    assert set(methods.split()) <= folders


def in_full(leaf: str) -> bool:
    """Whether a leaf is run with everything around it, one pair a method."""
    return 'digits' in leaf or 'resnet32x4_resnet8x4' in leaf


@pytest.mark.parametrize('leaf', [leaf for leaf in LEAVES if in_full(leaf)])
def test_runs(leaf, tmp_path):
    cfg = small(Config.fromfile(CONFIGS / leaf), tmp_path)
    runner = Runner.from_cfg(cfg)
    before = {
        name: p.detach().clone()
        for name, p in runner.model.named_parameters()
        if p.requires_grad
    }
    runner.train()
    assert all(p.isfinite().all() for p in runner.model.state_dict().values())
    moved = [
        name
        for name, p in runner.model.named_parameters()
        if name in before and not torch.equal(p, before[name])
    ]
    assert len(moved) > 0.8 * len(before)
    assert (tmp_path / 'student.pth').is_file()


def batch(cfg: Config) -> dict:
    """Four images as the dataloader would give them."""
    image = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    samples = [DataSample() for _ in range(4)]
    for i, sample in enumerate(samples):
        sample.set_gt_label(i)
        sample.set_metainfo(dict(sample_idx=i))
    views = 2 if cfg.model.type == 'CoCoRD' else 1
    inputs = [image.flip(3), image] if views == 2 else image
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize(
    'leaf', [leaf for leaf in LEAVES if not in_full(leaf)]
)
def test_builds_and_takes_a_step(leaf):
    cfg = Config.fromfile(CONFIGS / leaf)
    if 'teacher_ckpt' in cfg.model:
        cfg.model.teacher_ckpt = None
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = MODELS.build(cfg.model).train()
    stages = [2]
    if hasattr(model, 'learn_dataset'):
        model.learn_dataset(24, torch.arange(24))
        if cfg.train_cfg.get('type') == 'StagedTrainLoop':
            stages = [1, 2]
    got = set()
    for stage in stages:
        if hasattr(model, 'set_stage'):
            model.set_stage(stage)
        data = model.data_preprocessor(batch(cfg), True)
        total, log = model.parse_losses(model(**data, mode='loss'))
        total.backward()
        got |= {n for n, p in model.named_parameters() if p.grad is not None}
        assert all(value.isfinite() for value in log.values())
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert got == learning


PAIRS = sorted((CONFIGS / '_base_' / 'pairs').glob('*.py'))


@pytest.mark.parametrize('path', PAIRS, ids=lambda path: path.stem)
def test_pairs_are_the_zoo(path):
    cfg = Config.fromfile(path)
    found = {
        name
        for name in CIFAR_ZOO
        for side in (cfg.teacher, cfg.student)
        if side.to_dict() == cifar_classifier(name, 100)
    }
    if not path.stem.endswith(('digits', 'in1k')):
        assert {path.stem} == {f'{a}_{b}' for a in found for b in found} & {
            path.stem
        }


@pytest.mark.parametrize('folder', sorted({Path(p).parts[0] for p in LEAVES}))
def test_every_method_has_a_readme(folder):
    text = (CONFIGS / folder / 'README.md').read_text()
    for leaf in (CONFIGS / folder).glob('*.py'):
        assert leaf.name in text
