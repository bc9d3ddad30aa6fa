"""What is fine with a config, once its data and model are built."""

import pytest
import torch
from helpers import digits_config

from mmdistill.engine.doctor import diagnose
from mmdistill.engine.doctor.examination import examine
from mmdistill.registry import MODELS


@pytest.fixture
def cfg(tmp_path):
    return digits_config(tmp_path)


def test_says_what_is_fine(cfg):
    before = cfg.to_dict()
    found = examine(cfg, processes=2)
    text = '\n'.join(found.lines)
    assert not found.findings
    for said in (
        'train data: 96 samples, 10 classes (0, 1, 2',
        'val data: 100 samples',
        'batch: 32 samples x 2 processes = 64 an update, 2 steps an epoch',
        'frozen of teacher',
        'activations',
        's a step on this',
    ):
        assert said in text
    assert cfg.to_dict() == before


def test_says_what_cannot_be_built(cfg):
    cfg.train_dataloader.dataset.indices = 0
    cfg.model.losses.kd.target = 'techer'
    found = examine(cfg)
    keys = {finding.key: finding.text for finding in found.findings}
    assert 'no sample' in keys['train_dataloader']
    assert "Did you mean 'teacher'" in keys['model']


def test_a_missing_teacher_is_said_once(cfg):
    cfg.model.teacher_ckpt = 'nowhere.pth'
    known = diagnose(cfg)
    assert [finding.key for finding in known] == ['model.teacher_ckpt']
    found = examine(cfg, known=known)
    assert not found.findings
    assert 'time: ' in found.lines[-1]


@pytest.mark.parametrize(
    ('loss', 'is_error'), [('KDLoss', True), ('RKDLoss', False)]
)
def test_a_teacher_of_other_classes(cfg, tmp_path, loss, is_error):
    cfg.model.losses = dict(one=dict(type=loss))
    cfg.model.teacher_ckpt = str(tmp_path / 'teacher.pth')
    teacher = MODELS.build(cfg.model.teacher)
    names = tuple('zyxwvutsrq')
    meta = dict(dataset_meta=dict(classes=names))
    file = dict(state_dict=teacher.state_dict(), meta=meta)
    torch.save(file, cfg.model.teacher_ckpt)
    (finding,) = examine(cfg).findings
    assert finding.key == 'model.teacher_ckpt'
    assert finding.is_error == is_error
    assert "only the first has ['z', " in finding.text
