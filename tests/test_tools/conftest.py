"""A toy problem for the real tools, which run as a user runs them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'

PLUGIN = '''
import numpy as np
from mmpretrain.datasets import BaseDataset

from mmdistill.registry import DATASETS


@DATASETS.register_module()
class ToyImages(BaseDataset):
    """Grey 32x32 images; the class is the brightness."""
    METAINFO = dict(classes=('dark', 'grey', 'bright'))

    def __init__(self, num_samples=24, **kwargs):
        self.num_samples = num_samples
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        random = np.random.default_rng(0)
        return [
            dict(
                img=random.integers(0, 40, (32, 32, 1), np.uint8) + np.uint8(
                    100 * (i % 3)),
                gt_label=i % 3) for i in range(self.num_samples)
        ]
'''

CONFIG = """
custom_imports = dict(imports=['toy_plugin'], allow_failed_imports=False)
default_scope = 'mmdistill'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='LeNet5'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=120),
    data_preprocessor=dict(mean=[127.], std=[60.], num_classes=3))
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(type='ToyImages', pipeline=[dict(type='PackInputs')]),
    sampler=dict(type='DefaultSampler', shuffle=True))
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(type='ToyImages', pipeline=[dict(type='PackInputs')]),
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type='Accuracy')
train_cfg = dict(by_epoch=True, max_epochs=1)
val_cfg = test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
randomness = dict(seed=0)
"""


class Toy:
    """A folder with a toy config, and the tools run in it."""

    tools = TOOLS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / 'toy_plugin.py').write_text(PLUGIN)
        self.config = folder / 'toy.py'
        self.config.write_text(CONFIG)
        self.env = dict(
            os.environ,
            PYTHON=sys.executable,
            PYTHONPATH=os.pathsep.join([str(ROOT), str(folder)]),
            OMP_NUM_THREADS='1',
        )

    def run(self, *command: object, fails: bool = False, **env: str) -> str:
        """What the command prints, with status 0 unless it has to fail."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=dict(self.env, **env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def train(self, *options: object, **kwargs) -> str:
        return self.run(sys.executable, TOOLS / 'train.py', *options, **kwargs)

    def test(self, *options: object, **kwargs) -> str:
        return self.run(sys.executable, TOOLS / 'test.py', *options, **kwargs)


@pytest.fixture
def main(toy, monkeypatch):
    """Calls a tool's ``main`` here, which spares importing torch again."""
    monkeypatch.chdir(toy.folder)
    monkeypatch.setenv('LOCAL_RANK', '0')  # the tools set it
    monkeypatch.setenv('MMDISTILL_DEBUG', '1')  # errors come out as they are
    monkeypatch.syspath_prepend(TOOLS)
    monkeypatch.syspath_prepend(toy.folder)

    def call(tool: str, *options: object) -> None:
        path = TOOLS / f'{tool}.py'
        spec = importlib.util.spec_from_file_location(f'{tool}_tool', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [str(path), *map(str, options)])
        module.main()

    return call


@pytest.fixture(scope='session')
def toy(tmp_path_factory) -> Toy:
    return Toy(tmp_path_factory.mktemp('toy'))
