import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import dataset_labels
from mmdistill.registry import DATASETS

LINES = [
    'n0153282900000005.jpg,n01532829',
    'n0153282900000006.jpg,n01532829',
    'n0111055100000002.jpg,n01110551',
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'images').mkdir()
    for i, line in enumerate(LINES):
        image = np.full((30, 40, 3), 60 * i, np.uint8)
        Image.fromarray(image).save(
            tmp_path / 'images' / line.split(',')[0], quality=100
        )
    for split, lines in dict(train=LINES, val=LINES[2:], test=[]).items():
        (tmp_path / f'{split}.csv').write_text(
            '\n'.join(['filename,label', *lines]) + '\n'
        )
    return tmp_path


def mini_imagenet(root, **kwargs):
    return DATASETS.build(
        dict(type='MiniImageNet', data_root=str(root), **kwargs)
    )


def test_images_and_labels(root):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = mini_imagenet(root, pipeline=pipeline)
    assert dataset.metainfo['classes'] == ('n01110551', 'n01532829')
    assert dataset_labels(dataset).tolist() == [1, 1, 0]
    for i in range(3):
        item = dataset[i]
        assert item['inputs'].shape == (3, 30, 40)
        assert abs(int(item['inputs'].float().mean()) - 60 * i) < 3


def test_classes_of_a_split_are_its_own(root):
    dataset = mini_imagenet(root, split='val', lazy_init=True)
    dataset.full_init()
    assert dataset.metainfo['classes'] == ('n01110551',)
    assert dataset_labels(dataset).tolist() == [0]


def test_images_in_another_folder(root):
    (root / 'images').rename(root / 'pictures')
    (root / 'train.csv').rename(root / 'mine.csv')
    dataset = mini_imagenet(root, ann_file='mine.csv', data_prefix='pictures')
    assert len(dataset) == 3


def test_missing_images(root):
    (root / 'images' / 'n0153282900000006.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of the 3 .*00000006.jpg'):
        mini_imagenet(root)


@pytest.mark.parametrize(
    'kwargs, error, message',
    [(dict(split='training'), FileNotFoundError, 'training.csv.*split'),
     (dict(split='test'), ValueError, 'names no image'),
     (dict(ann_file='other.csv'), ValueError, 'filename,label'),
     (dict(data_prefix='photos'), FileNotFoundError, 'photos.*data_prefix')],
)  # fmt: skip
def test_bad_input(root, kwargs, error, message):
    (root / 'other.csv').write_text('image,class\na.jpg,b\n')
    with pytest.raises(error, match=message):
        mini_imagenet(root, **kwargs)
