"""Labels are positions: the names behind them are compared."""

import numpy as np
import pytest
import torch
from helpers import digits_config
from PIL import Image

from mmdistill.engine.runner import DistillRunner

NAMES = tuple('0123456789')

TURNED = ('1', '0', *NAMES[2:])


def folders(path, names):
    for name in names:
        (path / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path / name / 'a.png')
    return dict(
        type='CustomDataset',
        data_root=str(path),
        pipeline=[
            dict(type='LoadImageFromFile', color_type='grayscale'),
            dict(type='PackInputs'),
        ],
    )


def test_class_folders_that_differ(tmp_path):
    cfg = digits_config(tmp_path)
    train = folders(tmp_path / 'train', ['cat', 'dog', 'owl'])
    cfg.train_dataloader.dataset = train
    cfg.val_dataloader.dataset = folders(tmp_path / 'val', ['cat', 'owl'])
    with pytest.raises(ValueError, match=r"only the first has \['dog'\]"):
        DistillRunner.from_cfg(cfg).train()
    cfg.val_dataloader.dataset.classes = ['cat', 'owl']
    cfg.val_dataloader.dataset.data_root = train['data_root']
    cfg.val_dataloader.dataset.classes = ['owl', 'cat', 'dog']
    with pytest.raises(ValueError, match="label 0 is 'cat' in the one"):
        DistillRunner.from_cfg(cfg).train()


def teacher_file(tmp_path, classes):
    from mmdistill.registry import MODELS

    cfg = digits_config(tmp_path)
    state = MODELS.build(cfg.model.teacher).state_dict()
    path = tmp_path / 'teacher.pth'
    meta = dict(dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=state, meta=meta), path)
    return str(path)


@pytest.mark.parametrize('classes', [TURNED, tuple('abcdefghij')])
def test_a_teacher_of_other_classes(tmp_path, classes):
    options = {'model.teacher_ckpt': teacher_file(tmp_path, classes)}
    with pytest.raises(ValueError, match=r"losses \['kd'\].*class scores"):
        DistillRunner.from_cfg(digits_config(tmp_path, **options)).train()
    # features may be compared
    options['train_cfg.max_epochs'] = 1
    rkd = dict(rkd=dict(type='RKDLoss'))
    DistillRunner.from_cfg(digits_config(tmp_path, rkd, **options)).train()
    logs = ''.join(path.read_text() for path in tmp_path.rglob('*.log'))
    assert 'are not those of train_dataloader.dataset' in logs


def test_the_same_classes_need_no_word(tmp_path):
    options = {
        'model.teacher_ckpt': teacher_file(tmp_path, list(NAMES)),
        'train_cfg.max_epochs': 1,
    }
    DistillRunner.from_cfg(digits_config(tmp_path, **options)).train()
    cfg = digits_config(tmp_path, **options)
    cfg.load_from = str(tmp_path / 'epoch_1.pth')
    DistillRunner.from_cfg(cfg).test()
    cfg.test_dataloader.dataset.metainfo = dict(classes=TURNED)
    with pytest.raises(ValueError, match='epoch_1.pth.*test_dataloader'):
        DistillRunner.from_cfg(cfg).test()
