"""Few threads, registered parts, fixed seeds and golden numbers."""

from __future__ import annotations

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
from yapf.yapflib import yapf_api

torch.set_num_threads(1)


def remembering(format_code):
    """YAPF, which takes a third of a second for a config, once a config.

    MMEngine has it laid out again for every checkpoint and log of a run.
    """
    done = {}

    def laid_out(text, *args, **kwargs):
        if text not in done:
            if len(done) > 50:
                done.clear()
            done[text] = format_code(text, *args, **kwargs)
        return done[text]

    return laid_out


yapf_api.FormatCode = remembering(yapf_api.FormatCode)


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
