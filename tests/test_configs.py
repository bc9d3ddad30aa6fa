"""Every config builds, takes a real step, and can be tested."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS

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
    for memory in cfg.model.get('memories', {}).values():
        memory.size = 16
    for hook in cfg.custom_hooks:
        if hook.type == 'QueueHook':
            hook.prefill = 16
    cfg.train_cfg = dict(by_epoch=False, max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    return cfg


def test_there_are_leaves():
    folders = {Path(leaf).parts[0] for leaf in LEAVES}
    assert {'quickstart', 'kd', 'crd', 'protocpc', 'at', 'rkd',
            'infonce', 'vanilla'} <= folders  # fmt: skip


@pytest.mark.parametrize('leaf', LEAVES)
def test_takes_a_step(leaf, tmp_path):
    cfg = small(Config.fromfile(CONFIGS / leaf), tmp_path)
    runner = Runner.from_cfg(cfg)
    before = {
        name: p.detach().clone() for name, p in runner.model.named_parameters()
    }
    runner.train()
    assert all(p.isfinite().all() for p in runner.model.state_dict().values())
    moved = [
        name
        for name, p in runner.model.named_parameters()
        if not torch.equal(p, before[name])
    ]
    assert len(moved) > 0.9 * len(before)
    assert (tmp_path / 'student.pth').is_file()


@pytest.mark.parametrize('folder', sorted({Path(p).parts[0] for p in LEAVES}))
def test_every_method_has_a_readme(folder):
    text = (CONFIGS / folder / 'README.md').read_text()
    for leaf in (CONFIGS / folder).glob('*.py'):
        assert leaf.name in text
