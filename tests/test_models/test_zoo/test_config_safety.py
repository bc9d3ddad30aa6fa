"""Configs that strangers' checkpoints carry."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.checkpoints import CheckpointError, trust_checkpoints
from mmdistill.checkpoints.config_text import config_from_text
from mmdistill.models.zoo.config_safety import require_harmless

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'

MODEL = dict(type='mmpretrain.ImageClassifier', backbone=dict(type='LeNet5'))


@pytest.fixture(autouse=True)
def distrust():
    yield
    trust_checkpoints(False)


@pytest.mark.parametrize(
    'kind', ['os.system', 'mmengine.os.system', 'builtins.eval', 'Nowhere', 3]
)
def test_types_must_be_registered(kind):
    model = dict(MODEL, head=[dict(norm=dict(type=kind))])
    with pytest.raises(CheckpointError, match='which no registry has'):
        require_harmless(Config(dict(model=model)), 'x.pth')
    trust_checkpoints()
    require_harmless(Config(dict(model=model)), 'x.pth')


def test_our_own_configs_are_harmless():
    for path in ('crd/crd_resnet32x4_resnet8x4_cifar100.py',
                 'ssl_alone/mocov2_resnet18_800e_in1k.py',
                 'oss/oss_resnet50_resnet18_800e_in1k.py',
                 'evaluation/linear_deit_small_in1k.py'):  # fmt: skip
        given = Config.fromfile(CONFIGS / path)
        read = config_from_text(given.pretty_text, path)
        assert read.to_dict() == Config(given.to_dict()).to_dict()
        require_harmless(read, path)


def test_imports_need_trust():
    imports = dict(imports=['colorsys'], allow_failed_imports=False)
    cfg = Config(dict(custom_imports=imports, model=MODEL))
    sys.modules.pop('colorsys', None)
    with pytest.raises(CheckpointError, match=r"\['colorsys'\].*--trust"):
        require_harmless(cfg, 'x.pth')
    assert 'colorsys' not in sys.modules
    trust_checkpoints()
    require_harmless(cfg, 'x.pth')
    assert 'colorsys' in sys.modules
