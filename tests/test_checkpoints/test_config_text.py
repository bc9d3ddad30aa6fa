"""Configs as text are read back, and nothing in them is executed."""

import math

import pytest
from mmengine.config import Config

from mmdistill.checkpoints import CheckpointError, trust_checkpoints
from mmdistill.checkpoints.config_text import config_from_text

MODEL = dict(type='mmpretrain.ImageClassifier', backbone=dict(type='LeNet5'))


@pytest.fixture(autouse=True)
def distrust():
    yield
    trust_checkpoints(False)


def test_what_mmengine_writes_is_read_back():
    given = dict(
        model=MODEL,
        numbers=[1, -2, 1e-05, -0.5, math.inf, None, True],
        nested=dict(a=((1, 2), [dict(b='it\'s "so"')]), c={}, d=()),
        keys={'not an identifier': 1, 'layer.0': dict(x=[])},
        long='words ' * 40,
    )
    read = config_from_text(Config(given).pretty_text, 'x.pth')
    assert read.to_dict() == Config(given).to_dict()


@pytest.mark.parametrize(
    'line',
    ['__import__("os").system("touch {0}")', 'x = open("{0}", "w")',
     'import os', 'x = [].__class__', 'x = dict(**y)', 'x = dict([(1, 2)])',
     'x = [open("{0}", "w") for _ in "a"]', 'x = f"{{open}}"', 'x = (1,',
     'x: int = 1', 'a.b = 1', 'x = "-" * 9', 'x = -"a"'])  # fmt: skip
def test_nothing_is_executed(line, tmp_path):
    victim = tmp_path / 'executed'
    for trust in (False, True):
        trust_checkpoints(trust)
        with pytest.raises(CheckpointError, match='x.pth.*--config'):
            config_from_text(line.format(victim), 'x.pth')
    assert not victim.exists()
