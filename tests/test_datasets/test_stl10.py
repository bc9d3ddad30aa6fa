"""STL-10, written in its published format."""

import numpy as np
import pytest
import torchvision

from mmdistill.datasets import dataset_labels
from mmdistill.registry import DATASETS

NAMES = 'airplane bird car cat deer dog horse monkey ship truck'.split()
COUNTS = dict(train=12, test=7)


@pytest.fixture
def root(tmp_path):
    """Few images; pixels say where they lie."""
    draw = np.random.default_rng(0)
    for split, count in COUNTS.items():
        images = draw.integers(0, 256, (count, 3, 96, 96), np.uint8)
        images.tofile(tmp_path / f'{split}_X.bin')
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)
        labels.tofile(tmp_path / f'{split}_y.bin')
    (tmp_path / 'class_names.txt').write_text('\n'.join(NAMES) + '\n')
    return tmp_path


def stl10(root, **kwargs):
    return DATASETS.build(dict(type='STL10', data_root=str(root), **kwargs))


@pytest.mark.parametrize('split', COUNTS)
def test_equals_torchvision(root, split, monkeypatch):
    monkeypatch.setattr(
        torchvision.datasets.STL10, '_check_integrity', lambda self: True
    )
    monkeypatch.setattr(torchvision.datasets.STL10, 'base_folder', '')
    theirs = torchvision.datasets.STL10(str(root), split)
    ours = stl10(root, split=split)
    assert len(ours) == len(theirs) == COUNTS[split]
    assert ours.metainfo['classes'] == tuple(NAMES)
    assert dataset_labels(ours).tolist() == theirs.labels.tolist()
    for i in range(len(ours)):
        image, label = theirs[i]
        assert np.array_equal(ours[i]['img'], np.asarray(image))
        assert ours[i]['gt_label'] == label
        assert ours[i]['sample_idx'] == i


def test_columns_come_first_in_the_file(root):
    images = np.zeros((12, 3, 96, 96), np.uint8)
    images[5, 1, 7, 30] = 255  # green, column 7, row 30
    images.tofile(root / 'train_X.bin')
    pixels = stl10(root)[5]['img']
    assert np.argwhere(pixels).tolist() == [[30, 7, 1]]


def test_pipelines_subsets_and_one_tensor(root):
    resize = dict(type='Resize', scale=(32, 32), backend='pillow')
    dataset = stl10(
        root, pipeline=[resize, dict(type='PackInputs')], indices=[3, 11]
    )
    assert len(dataset) == 2
    assert dataset[1]['inputs'].shape == (3, 32, 32)
    assert dataset[1]['data_samples'].gt_label == 1
    inner = dict(type='STL10', data_root=str(root), pipeline=[resize])
    whole = DATASETS.build(dict(type='ImageTensorDataset', dataset=inner))
    assert whole.images.shape == (12, 3, 32, 32)
    assert (whole.images[11] == dataset[1]['inputs']).all()
    assert "train of '" in repr(dataset)


@pytest.mark.parametrize(
    'name', ['train_X.bin', 'train_y.bin', 'class_names.txt']
)
def test_missing_files(root, name):
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'{name}.*data_root'):
        stl10(root)


def test_bad_input(root):
    with pytest.raises(ValueError, match="'train' or 'test', got 'val'"):
        stl10(root, split='val')
    content = (root / 'test_X.bin').read_bytes()
    (root / 'test_X.bin').write_bytes(content[:-1])
    with pytest.raises(ValueError, match='193535 bytes.*needs 193536'):
        stl10(root, split='test')
    np.zeros(12, np.uint8).tofile(root / 'train_y.bin')
    with pytest.raises(ValueError, match=r'labels \[0\], expected 1 to 10'):
        stl10(root)
