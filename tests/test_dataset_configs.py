"""Real files, as their authors lay them out, through our dataset configs."""

import hashlib
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.datasets import CIFAR10, CIFAR100

from mmdistill.datasets import dataset_labels
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs/_base_/datasets'
SPLITS = ('train', 'val', 'test')


# CIFAR ---------------------------------------------------------------------
def rows(count, seed):
    """Images as in the files: a row of 1024 red, green and blue values."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, 3072), np.uint8)


def write(path, content):
    """As the authors did, in Python 2's protocol; returns [name, md5]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


def write_cifar10(root, patch):
    folder = root / 'cifar-10-batches-py'
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
    files = {}
    for i, name in enumerate(names):
        files[name] = dict(
            batch_label=name,
            labels=[(i + j) % 10 for j in range(4)],
            data=rows(4, i),
            filenames=[f'{j}.png' for j in range(4)],
        )
    md5s = [write(folder / name, content) for name, content in files.items()]
    meta = dict(
        num_cases_per_batch=4,
        label_names=list(CIFAR10.METAINFO['classes']),
        num_vis=3072,
    )
    name, md5 = write(folder / 'batches.meta', meta)
    patch.setattr(CIFAR10, 'train_list', md5s[:5])
    patch.setattr(CIFAR10, 'test_list', md5s[5:])
    patch.setattr(CIFAR10, 'meta', {**CIFAR10.meta, 'md5': md5})
    return files, dict(train=names[:5], test=names[5:]), 'labels'


def write_cifar100(root, patch):
    folder = root / 'cifar-100-python'
    files = {}
    for i, (name, count) in enumerate(dict(train=12, test=6).items()):
        files[name] = dict(
            batch_label=f'{name}ing batch 1 of 1',
            fine_labels=[(7 * j + i) % 100 for j in range(count)],
            coarse_labels=[j % 20 for j in range(count)],
            data=rows(count, 10 + i),
            filenames=[f'{j}.png' for j in range(count)],
        )
    md5s = [write(folder / name, content) for name, content in files.items()]
    meta = dict(
        fine_label_names=list(CIFAR100.METAINFO['classes']),
        coarse_label_names=[f'coarse {i}' for i in range(20)],
    )
    name, md5 = write(folder / 'meta', meta)
    patch.setattr(CIFAR100, 'train_list', md5s[:1])
    patch.setattr(CIFAR100, 'test_list', md5s[1:])
    patch.setattr(CIFAR100, 'meta', {**CIFAR100.meta, 'md5': md5})
    return files, dict(train=['train'], test=['test']), 'fine_labels'


WRITERS = dict(cifar10=write_cifar10, cifar100=write_cifar100)


def loaders(name, root):
    """The three dataloaders of a dataset config, on other files."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    for split in SPLITS:
        loader = cfg[f'{split}_dataloader']
        # what tools/train.py fills in
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.num_workers = 0
        inner = loader.dataset.get('dataset', loader.dataset)
        inner.data_root = str(root)
        if inner.type != 'CustomDataset':
            inner.download = False
        yield DistillRunner.build_dataloader(loader, seed=0)


def prepare(name):
    cfg = Config.fromfile(CONFIGS / f'{name}.py').data_preprocessor
    return MODELS.build({'type': 'ClsDataPreprocessor', **cfg})


@pytest.mark.parametrize(
    'name, way',
    [('cifar10', '_batched'), ('cifar100', '_batched'), ('cifar100', '')],
)
def test_cifar(name, way, tmp_path, monkeypatch):
    files, parts, key = WRITERS[name](tmp_path, monkeypatch)
    classes = dict(cifar10=CIFAR10, cifar100=CIFAR100)[name].METAINFO
    for split, loader in zip(
        SPLITS, loaders(name + way, tmp_path), strict=True
    ):
        batches = [
            files[f] for f in parts['test' if split != 'train' else split]
        ]
        images = np.concatenate([b['data'] for b in batches])
        images = torch.from_numpy(images.reshape(-1, 3, 32, 32))
        labels = sum((b[key] for b in batches), [])
        dataset = loader.dataset
        assert dataset_labels(dataset).tolist() == labels
        assert dataset.metainfo['classes'] == classes['classes']
        seen = []
        for data in loader:
            index = torch.tensor([s.sample_idx for s in data['data_samples']])
            label = torch.cat([s.gt_label for s in data['data_samples']])
            assert label.tolist() == [labels[i] for i in index]
            seen.extend(index.tolist())
            # red, green and blue are where the files have them
            got = prepare(name + way)(data)['inputs']
            if split == 'train' and not way:  # crops were made already
                assert got.shape[1:] == (3, 32, 32)
                continue
            cfg = Config.fromfile(CONFIGS / f'{name}{way}.py')
            cfg = cfg.data_preprocessor
            mean, std = (
                torch.tensor(cfg[key]).view(3, 1, 1) for key in ('mean', 'std')
            )
            assert torch.equal(got, (images[index].float() - mean) / std)
        assert sorted(seen) == list(range(len(labels)))
        assert split == 'train' or seen == sorted(seen)


@pytest.mark.parametrize(
    'name, way',
    [('cifar10', '_batched'), ('cifar100', '_batched'), ('cifar100', '')],
)
def test_damaged_cifar(name, way, tmp_path, monkeypatch):
    """MMPretrain compares hashes, and says which class and folder it is."""
    WRITERS[name](tmp_path, monkeypatch)
    file = next(tmp_path.glob('*/test*'))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(RuntimeError, match=f'Cannot find {name.upper()}'):
        next(loaders(name + way, tmp_path))


# Folders of images ---------------------------------------------------------
COLOURS = dict(blue=(220, 10, 10), green=(10, 220, 10), red=(10, 10, 220))


def write_folders(root):
    """JPEG files of one colour each, in a folder of its name, as BGR."""
    for split, count in dict(train=3, test=2).items():
        for colour, bgr in COLOURS.items():
            folder = root / split / colour
            folder.mkdir(parents=True)
            for i in range(count):
                image = np.full((40 + i, 50, 3), bgr, np.uint8)
                assert cv2.imwrite(str(folder / f'{i}.jpg'), image)


def test_folders(tmp_path):
    write_folders(tmp_path)
    for split, loader in zip(
        SPLITS, loaders('folder32', tmp_path), strict=True
    ):
        count = 3 if split == 'train' else 2
        dataset = loader.dataset
        assert dataset.metainfo['classes'] == tuple(sorted(COLOURS))
        expected = [i for i in range(3) for _ in range(count)]
        assert dataset_labels(dataset).tolist() == expected
        (data,) = loader
        images = prepare('folder32')(data)['inputs']
        assert images.shape == (3 * count, 3, 32, 32)
        # to_rgb: classes are blue, green, red and channels red, green, blue
        label = torch.cat([s.gt_label for s in data['data_samples']])
        assert (images[:, :, 16, 16].argmax(1) == 2 - label).all()
        assert all(Path(s.img_path).is_file() for s in data['data_samples'])


def test_folders_as_one_tensor(tmp_path):
    """Loaded and resized once; then batched as CIFAR is."""
    write_folders(tmp_path)
    cfg = Config.fromfile(CONFIGS / 'folder32.py')
    (single,) = list(loaders('folder32', tmp_path))[1]
    loader = cfg.val_dataloader
    loader.dataset.data_root = str(tmp_path)
    pipeline = loader.dataset.pop('pipeline')
    whole = dict(
        type='ImageTensorDataset',
        dataset=dict(loader.dataset, pipeline=pipeline[:-1]),
    )
    loader.update(
        num_workers=0, dataset=whole, collate_fn=dict(type='batch_collate')
    )
    (data,) = DistillRunner.build_dataloader(loader)
    assert torch.equal(data['inputs'], single['inputs'])
    assert [s.gt_label for s in data['data_samples']] == [
        s.gt_label for s in single['data_samples']
    ]


def test_empty_folder(tmp_path):
    (tmp_path / 'train' / 'red').mkdir(parents=True)
    with pytest.raises(RuntimeError, match='Found 0 files in subfolders'):
        next(loaders('folder32', tmp_path))


def test_corrupt_image(tmp_path):
    write_folders(tmp_path)
    file = tmp_path / 'train' / 'green' / '1.jpg'
    file.write_bytes(file.read_bytes()[:3] + b'no image')
    loader = next(loaders('folder32', tmp_path))
    with pytest.raises(AssertionError, match=f'failed to load image: {file}'):
        list(loader)
