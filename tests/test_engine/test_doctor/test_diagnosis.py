"""All findings of a config together."""

import time
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.engine.doctor import ConfigError, diagnose, require_sound

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'


@pytest.fixture
def cfg():
    return Config.fromfile(CONFIGS / 'quickstart' / 'crd_kd_digits.py')


def test_a_sound_config(cfg, tmp_path):
    assert not diagnose(cfg, files=False)
    (finding,) = diagnose(cfg)
    assert finding.key == 'model.teacher_ckpt'
    assert not diagnose(cfg, part='test')
    cfg.model.teacher_ckpt = None
    require_sound(cfg, 'the config')
    with pytest.raises(ValueError, match="part is 'train' or 'test', got 'v"):
        diagnose(cfg, part='val')


def test_all_mistakes_at_once_and_nothing_is_changed(cfg):
    cfg.model.losses.kd.temprature = 1
    cfg.load_from = 'nowhere.pth'
    cfg.val_cfg = None
    before = cfg.to_dict()
    with pytest.raises(ConfigError, match='x.py has 4 mistakes') as error:
        require_sound(cfg, 'x.py')
    assert [finding.key for finding in error.value.findings] == [
        'model.losses.kd.temprature',
        'val_cfg',
        'model.teacher_ckpt',
        'load_from',
    ]
    assert cfg.to_dict() == before


def test_it_takes_no_time(cfg):
    diagnose(cfg)  # sources of constructors are read once
    start = time.perf_counter()
    diagnose(cfg)
    assert time.perf_counter() - start < 0.5
