"""The generated set, read back by the datasets it is made for."""

import filecmp
import json
import os

import numpy as np
import pytest
import torch
from annotation_files import PIPELINE
from PIL import Image

from mmdistill.datasets import Digits, digits_canvas, make_digits_canvas
from mmdistill.registry import DATASETS

SMALL = dict(num_train=12, num_val=5)
CLASSES = ('background', *'0123456789')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_digits_canvas(tmp_path_factory.mktemp('data') / 'set', **SMALL)


def detection(folder, split):
    return DATASETS.build(
        dict(
            type='CocoDetection',
            data_root=str(folder),
            ann_file=f'annotations/instances_{split}.json',
            data_prefix=dict(img='JPEGImages'),
            with_masks=True,
            pipeline=PIPELINE,
        )
    )


def segmentation(folder, split):
    return DATASETS.build(
        dict(
            type='VOCSegmentation',
            data_root=str(folder),
            image_set=split,
            classes=CLASSES,
            pipeline=[
                PIPELINE[0], dict(type='LoadSemanticMap'), PIPELINE[2]
            ],
        )
    )  # fmt: skip


@pytest.mark.parametrize('split, count', [('train', 12), ('val', 5)])
def test_both_layouts_say_the_same(folder, split, count):
    boxes, maps = detection(folder, split), segmentation(folder, split)
    assert len(boxes) == len(maps) == count
    assert boxes.metainfo['classes'] == tuple('0123456789')
    for one, other in zip(boxes, maps, strict=True):
        assert torch.equal(one['inputs'], other['inputs'])
        assert one['inputs'].shape == (3, 64, 96)
        found = one['data_samples'].gt_instances
        assert 1 <= len(found) <= 4
        assert found.masks.sum(0).max() == 1
        classes = (found.masks * (found.labels[:, None, None] + 1)).sum(0)
        seen = other['data_samples'].gt_sem_seg.data[0]
        assert torch.equal(classes, seen)
        for box, mask in zip(found.bboxes, found.masks, strict=True):
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            assert box.tolist() == [
                columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            ]  # fmt: skip


def test_digits_can_be_told_from_the_canvas(folder):
    for item in detection(folder, 'train'):
        image = item['inputs'].float().mean(0)
        for mask in item['data_samples'].gt_instances.masks:
            canvas = image[item['data_samples'].gt_instances.masks.sum(0) == 0]
            assert (image[mask].mean() - canvas.mean()).abs() > 25


def same(first, second):
    names = [
        os.path.relpath(os.path.join(top, name), first)
        for top, _, files in os.walk(first)
        for name in files
    ]
    assert len(names) > 30
    _, different, absent = filecmp.cmpfiles(first, second, names, False)
    assert not absent
    return not different


def test_the_seed_decides(folder, tmp_path):
    assert same(folder, make_digits_canvas(tmp_path / 'again', **SMALL))
    other = make_digits_canvas(tmp_path / 'other', **SMALL, seed=1)
    assert not same(folder, other)


def test_no_digit_is_in_both_splits(tmp_path, monkeypatch):
    """One digit an image, seen by the datasets that the drawing opens."""
    opened = {}

    class Seen(Digits):
        def __init__(self, split):
            super().__init__(split)
            opened[split] = self

    monkeypatch.setattr(digits_canvas, 'Digits', Seen)
    make_digits_canvas(tmp_path / 'set', num_train=1, num_val=1)
    train, test = (
        {digits.get_data_info(i)['img_id'] for i in range(len(digits))}
        for digits in (opened['train'], opened['test'])
    )
    assert len(train) == 898 and len(test) == 899
    assert not train & test


def test_what_is_there_stays(folder):
    path = folder / 'annotations' / 'instances_val.json'
    before = path.stat().st_mtime_ns
    assert make_digits_canvas(folder, **SMALL) == folder
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="'seed': 0.*not .*'seed': 3"):
        make_digits_canvas(folder, **SMALL, seed=3)


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    """In the second split, while it writes an image's map."""
    save, saved = Image.Image.save, []

    def interrupted(image, path, **kwargs):
        saved.append(path)
        if len(saved) == 28:
            raise KeyboardInterrupt
        save(image, path, **kwargs)

    monkeypatch.setattr(Image.Image, 'save', interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_digits_canvas(tmp_path / 'set', **SMALL)
    assert saved[-1].name.endswith('val_000001.png')
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    folder = make_digits_canvas(tmp_path / 'set', **SMALL)
    content = json.loads((folder / 'digits_canvas.json').read_text())
    assert content['num_train'] == 12
    assert [x.name for x in tmp_path.iterdir()] == ['set']


def test_other_sizes(tmp_path):
    folder = make_digits_canvas(
        tmp_path / 'set', 6, 1, size=(40, 30), digits_per_image=(3, 3),
        digit_size=(10, 12),
    )  # fmt: skip
    counts, extents = [], []
    for item in detection(folder, 'train'):
        assert item['inputs'].shape == (3, 40, 30)
        boxes = item['data_samples'].gt_instances.bboxes
        counts.append(len(boxes))
        extents.append((boxes[:, 3] - boxes[:, 1]).numpy())
    assert max(counts) == 3
    assert 5 <= np.concatenate(extents).min()
    assert np.concatenate(extents).max() <= 12


@pytest.mark.parametrize(
    'kwargs, message',
    [(dict(digits_per_image=(0, 2)), 'digits_per_image is a range'),
     (dict(digit_size=(20, 10)), 'digit_size one'),
     (dict(digit_size=(20, 70)), 'do not fit'),
     (dict(num_val=0), 'num_val')])  # fmt: skip
def test_bad_input(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_digits_canvas(tmp_path / 'set', **kwargs)
