"""The examples train, and their losses fall."""

import importlib
import logging
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / 'examples'


@pytest.mark.parametrize(
    'name, epochs, needs',
    [
        ('plain_pytorch', 4, 'sklearn'),
        ('timm_script', 2, 'timm'),
        ('lightning_module', 2, 'lightning'),
    ],
)
def test_the_loss_falls(name, epochs, needs, monkeypatch):
    pytest.importorskip(
        needs, reason=f"{needs} is not installed; pip install '.[tests]'"
    )
    monkeypatch.syspath_prepend(FOLDER)
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    history = importlib.import_module(name).main(epochs)
    assert len(history) == epochs
    assert history[-1] < 0.9 * history[0]
