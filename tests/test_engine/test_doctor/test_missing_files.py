"""Weights and data that are not there."""

import pytest

from mmdistill.engine.doctor.missing_files import missing_files


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / 'images' / 'train').mkdir(parents=True)
    (tmp_path / 'images' / 'list.txt').touch()
    (tmp_path / 'there.pth').touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(part='train', **cfg) -> list[str]:
    return [one.key for one in missing_files(cfg, part)]


@pytest.mark.parametrize('path', ['there.pth', 'https://host/a.pth', None])
def test_weights_that_are_there_or_elsewhere(place, path):
    teachers = dict(a=dict(model={}, ckpt=path))
    model = dict(teacher_ckpt=path, teachers=teachers)
    assert not keys(model=model, load_from=path)


def test_weights_that_are_not_there(place):
    init = dict(type='Pretrained', checkpoint='c.pth')
    model = dict(
        teacher_ckpt='a.pth',
        teachers=dict(big=dict(model='d.pth', ckpt='b.pth')),
        student=dict(backbone=dict(init_cfg=[init])),
    )
    cfg = dict(model=model, load_from='e.pth')
    assert keys(**cfg) == [
        'model.teacher_ckpt',
        'model.teachers.big.model',
        'model.teachers.big.ckpt',
        'model.student.backbone.init_cfg.0.checkpoint',
        'load_from',
    ]
    assert not keys('test', **cfg)  # they come from the checkpoint


def data(**settings) -> dict:
    dataset = dict(dict(type='CustomDataset'), **settings)
    return dict(train_dataloader=dict(dataset=dataset))


@pytest.mark.parametrize(
    'settings',
    [
        dict(data_root='images', data_prefix='train', ann_file='list.txt'),
        dict(data_prefix=dict(img_path='images/train')),
        dict(data_root='s3://bucket', data_prefix='x'),
        dict(data_root='images', ann_file='images/list.txt'),
        dict(type='CIFAR10', data_root='nowhere'),  # it downloads itself
        dict(type='SomebodysOwn', data_root='nowhere'),
    ],
)
def test_data_that_is_there_or_elsewhere(place, settings):
    assert not keys(**data(**settings))


@pytest.mark.parametrize(
    ('settings', 'key'),
    [
        (dict(data_root='image'), 'data_root'),
        (dict(data_root='images', data_prefix='val'), 'data_prefix'),
        (
            dict(data_root='images', data_prefix=dict(img_path='val')),
            'data_prefix.img_path',
        ),
        (dict(data_root='images', ann_file='lists.txt'), 'ann_file'),
        (
            dict(type='CIFAR10', data_root='nowhere', download=False),
            'data_root',
        ),
    ],
)
def test_data_that_is_not_there(place, settings, key):
    cfg = data(**settings)
    assert keys(**cfg) == [f'train_dataloader.dataset.{key}']
    assert not keys('test', **cfg)
    inner = cfg['train_dataloader']['dataset']
    cfg['train_dataloader']['dataset'] = dict(
        type='RepeatDataset', dataset=inner, times=2
    )
    assert keys(**cfg) == [f'train_dataloader.dataset.dataset.{key}']
    bank = dict(type='KNNValLoop', bank_dataloader=dict(dataset=inner))
    assert keys(val_cfg=bank) == [f'val_cfg.bank_dataloader.dataset.{key}']
