"""Our runner repeats training loops of the authors' code, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.hooks import Hook
from mmpretrain.datasets import BaseDataset

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, HOOKS, TRANSFORMS

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT.parent / 'shared' / 'parity'


@DATASETS.register_module()
class ParityDataset(BaseDataset):
    """The images that were recorded: blocks of colour and noise."""

    def __init__(self, pipeline, n):
        self.n = n
        super().__init__(ann_file='', pipeline=pipeline)

    def load_data_list(self):
        draw = np.random.RandomState(0)
        coarse = draw.uniform(0, 255, (self.n, 3, 4, 4))
        fine = draw.uniform(-40, 40, (self.n, 3, 32, 32))
        images = coarse.repeat(8, 2).repeat(8, 3) + fine
        images = images.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        labels = draw.randint(0, 100, self.n)
        return [
            dict(img=img, gt_label=int(label))
            for img, label in zip(images, labels, strict=True)
        ]


@TRANSFORMS.register_module()
class ParityViews(BaseTransform):
    """Two full views of an image, and two small ones."""

    def transform(self, results):
        image = results['img']
        flipped = image[:, ::-1]
        views = (
            np.roll(image, (3, -5), (0, 1)),
            flipped,
            image[2:18, 4:20],
            flipped[10:26, 9:25],
        )
        results['img'] = [np.ascontiguousarray(view) for view in views]
        return results


@HOOKS.register_module()
class ParityHook(Hook):
    """Begins with the recorded weights, in float64, and keeps all losses."""

    priority = 'VERY_LOW'

    def __init__(self, path):
        self.recorded = np.load(path)
        self.losses, self.lr, self.weight_decay = [], [], []

    def before_train(self, runner):
        model = runner.model.double()
        if model.teacher is not None:  # a frozen one is no submodule
            model.teacher.double()
        for single in model.data_preprocessor.modules():
            for key in {'mean', 'std'} & dict(single.named_buffers()).keys():
                exact = torch.tensor(
                    runner.cfg.model.data_preprocessor[key],
                    dtype=torch.float64,
                )
                getattr(single, key).copy_(exact.view(-1, 1, 1))
        state = {
            name.removeprefix('init/'): torch.from_numpy(value)
            for name, value in self.recorded.items()
            if name.startswith('init/')
        }
        missing = model.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys
        # Queues and counters of steps begin empty.
        empty = ('losses.clustering.queues.', 'momentum_steps')
        assert all(key.startswith(empty) for key in missing.missing_keys)

    def before_train_iter(self, runner, batch_idx, data_batch):
        (lr,) = set(runner.optim_wrapper.get_lr()['lr'])
        groups = runner.optim_wrapper.param_groups
        self.lr.append(lr)
        self.weight_decay.append(sorted({g['weight_decay'] for g in groups}))

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(outputs['loss'].item())


def replay(name: str, tmp_path, monkeypatch):
    """The run's recorded numbers, what was seen of it here, its model."""
    path = RECORDED / f'{name}.npz'
    if not path.is_file():
        pytest.skip(f'{path} is not there')
    recorded = np.load(path)
    text = str(recorded['config'])
    text = text.replace('{R}', str(ROOT))
    text = text.replace("custom_imports = dict(imports=['parity_plugin'])", '')
    # They were recorded with the first edition's lists of hooks.
    text = text.replace(
        'in _base_.method_hooks]', 'in _base_.method_hooks.values()]'
    )
    if '{CKPT}' in text:
        teacher = RECORDED / 'repdistiller_teacher_resnet20.npz'
        state = {
            key.lstrip('/'): torch.from_numpy(value)
            for key, value in np.load(teacher).items()
        }
        torch.save(state, tmp_path / 'teacher.pth')
        text = text.replace('{CKPT}', str(tmp_path / 'teacher.pth'))
    config = tmp_path / 'recorded.py'
    config.write_text(text)
    cfg = Config.fromfile(config)
    cfg.custom_hooks[-1].path = str(path)
    cfg.train_dataloader.dataset.n = int(recorded['n'])
    cfg.work_dir = str(tmp_path / 'run')
    cfg.log_level = 'WARNING'
    cfg.val_dataloader = cfg.val_cfg = None
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    (hook,) = [h for h in runner.hooks if isinstance(h, ParityHook)]
    return recorded, hook, runner.model


@pytest.mark.slow
@pytest.mark.parametrize(
    'name',
    [
        'repdistiller_hint_ref_resnet20_resnet8',
        'repdistiller_cc_resnet20_resnet8',
        'swav_frozen_constant',
        'dino_adamw',
    ],
)
def test_losses_are_those_of_the_authors_loop(name, tmp_path, monkeypatch):
    recorded, seen, model = replay(name, tmp_path, monkeypatch)
    np.testing.assert_allclose(seen.losses, recorded['losses'], rtol=1e-10)
    state = model.state_dict()
    for key, value in recorded.items():
        if key.startswith('final/'):
            name = key.removeprefix('final/')
            # The first edition had DINO's center as a (1, K) buffer.
            found = state[name] if name in state else state[f'{name}.value']
            got = found.numpy().reshape(value.shape)
            error = np.abs(got - value).max() / np.abs(value).max()
            assert error < 1e-6, key
    if 'wd' in recorded:
        np.testing.assert_allclose(seen.lr, recorded['lr'], rtol=1e-12)
        # Biases and norms have no decay.
        decays = [[0, decay] for decay in recorded['wd']]
        np.testing.assert_allclose(seen.weight_decay, decays, rtol=1e-12)
