"""Tiny ImageNet, written in its published layout."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import dataset_labels
from mmdistill.registry import DATASETS

WNIDS = ['n02124075', 'n04067472', 'n01443537']  # in no order, as published
WORDS = {
    'n01443537': 'goldfish, Carassius auratus',
    'n02124075': 'Egyptian cat',
    'n00000001': 'something else',
}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64, 3), value, np.uint8)).save(
        path, format='JPEG', quality=100
    )


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'wnids.txt').write_text('\n'.join(WNIDS) + '\n')
    words = [f'{wnid}\t{name}' for wnid, name in WORDS.items()]
    (tmp_path / 'words.txt').write_text('\n'.join(words) + '\n')
    lines = []
    for k, wnid in enumerate(WNIDS):
        for i in range(3):
            path = tmp_path / 'train' / wnid / 'images' / f'{wnid}_{i}.JPEG'
            write(path, 10 * k + i)
        (path.parents[1] / f'{wnid}_boxes.txt').write_text('')
        name = f'val_{2 - k}.JPEG'
        write(tmp_path / 'val' / 'images' / name, 100 + 10 * k)
        lines.append(f'{name}\t{wnid}\t0\t32\t44\t62')
    (tmp_path / 'val' / 'val_annotations.txt').write_text('\n'.join(lines))
    return tmp_path


def tiny(root, **kwargs):
    return DATASETS.build(
        dict(type='TinyImageNet', data_root=str(root), **kwargs)
    )


LOAD = [dict(type='LoadImageFromFile')]


def test_train(root):
    dataset = tiny(root, pipeline=LOAD)
    assert dataset.metainfo['classes'] == (
        'goldfish, Carassius auratus', 'Egyptian cat', 'n04067472'
    )  # fmt: skip
    assert dataset_labels(dataset).tolist() == [0] * 3 + [1] * 3 + [2] * 3
    shades = [int(np.median(dataset[i]['img'])) for i in range(9)]
    assert shades == [20, 21, 22, 0, 1, 2, 10, 11, 12]


def test_val(root):
    dataset = tiny(root, split='val', pipeline=LOAD)
    assert dataset_labels(dataset).tolist() == [1, 2, 0]
    assert [int(np.median(x['img'])) for x in dataset] == [100, 110, 120]
    assert 'val of' in repr(dataset)


def test_numbered_as_class_folders(root):
    """So a folder of the training images may be mixed with it."""
    folders = DATASETS.build(
        dict(type='CustomDataset', data_prefix=str(root / 'train'))
    )
    ours = tiny(root)
    labels = {x['img_path']: x['gt_label'] for x in map(
        folders.get_data_info, range(len(folders)))}  # fmt: skip
    assert labels == {
        x['img_path']: x['gt_label']
        for x in map(ours.get_data_info, range(len(ours)))
    }


@pytest.mark.parametrize(
    'split, path',
    [('train', 'wnids.txt'), ('train', 'words.txt'),
     ('train', 'train/n02124075'), ('val', 'val/val_annotations.txt'),
     ('val', 'val/images')],
)  # fmt: skip
def test_missing_files(root, split, path):
    gone = root / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(FileNotFoundError, match=f'(?s){path}.*data_root'):
        tiny(root, split=split)


def test_bad_input(root):
    with pytest.raises(ValueError, match="no labels.*got 'test'"):
        tiny(root, split='test')
    (root / 'val' / 'images' / 'val_1.JPEG').unlink()
    with pytest.raises(FileNotFoundError, match='1 of the 3 .*: val_1.JPEG'):
        tiny(root, split='val')
    (root / 'wnids.txt').write_text(WNIDS[0])
    with pytest.raises(ValueError, match=r'have \(n01443537, n0406'):
        tiny(root, split='val')
    (root / 'wnids.txt').write_text('')
    with pytest.raises(ValueError, match='names no class'):
        tiny(root)
