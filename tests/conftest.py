"""Few threads, registered parts, fixed seeds and golden numbers."""

from __future__ import annotations

import gc
import logging
import os
from pathlib import Path

# Before torch is imported; worker processes inherit it.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ['CUDA_VISIBLE_DEVICES'] = ''

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

torch.set_num_threads(1)


def pytest_collection_finish():
    from mmdistill.utils import register_all_modules

    register_all_modules()
    spare_what_stays()


def spare_what_stays():
    """What is no garbage by now stays: have it looked through no more.

    A dataset of MMEngine's collects garbage when it is built, which takes
    half a second among all that torch, mmcv and mmpretrain have imported,
    and longer with all that MMEngine keeps of every run: its log, its
    messages, its visualizer.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope='module')
def _spare_what_stays():
    yield
    spare_what_stays()


@pytest.fixture(autouse=True)
def fresh():
    """Registered parts in our scope, which runners change, and fixed seeds."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(params=[torch.float64, torch.float32], ids=str)
def golden(request):
    """Load a golden file: floating arrays in the wanted precision."""

    def load(name: str) -> dict[str, torch.Tensor]:
        arrays = np.load(Path(__file__).parent / 'golden' / f'{name}.npz')
        tensors = {k: torch.from_numpy(arrays[k]) for k in arrays}
        return {
            k: v.to(request.param) if v.is_floating_point() else v
            for k, v in tensors.items()
        }

    load.dtype = request.param
    load.bound = 1e-10 if request.param == torch.float64 else 1e-5
    return load


@pytest.fixture
def warned(caplog):
    """What was warned of; MMEngine's logger keeps its records to itself."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: ' '.join(
        r.getMessage() for r in caplog.records if r.levelno == logging.WARNING
    )
    logger.removeHandler(caplog.handler)
