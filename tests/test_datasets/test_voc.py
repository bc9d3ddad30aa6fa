"""PASCAL VOC's folders, for detection and for segmentation."""

import numpy as np
import pytest
import torch
from annotation_files import (
    PIPELINE,
    cut_off,
    logged,
    with_transforms,
    write_image,
    write_voc,
)
from PIL import Image

from mmdistill.registry import DATASETS

LOAD_MAP = [
    dict(type='LoadRGBImage'),
    dict(type='LoadSemanticMap'),
    dict(type='PackDenseInputs'),
]


# Detection ------------------------------------------------------------------
@pytest.fixture
def devkit(tmp_path):
    old = {
        '000005': [('chair', 0, 1, 1, 60, 40), ('cat', 1, 11, 5, 20, 30)],
        '000007': [('car', 1, 5, 5, 9, 9)],
        '000009': [],
    }
    new = {'2008_000002': [('tvmonitor', 0, 34.0, 11, 44, 29)]}
    write_voc(tmp_path / 'VOC2007', old)
    write_voc(tmp_path / 'VOC2012', new)
    return tmp_path


def voc(root, **kwargs):
    return DATASETS.build(
        dict(
            type='VOCDetection',
            data_root=str(root),
            image_sets=[('2007', 'trainval'), ('2012', 'trainval')],
            pipeline=PIPELINE,
        )
        | kwargs
    )


def ids(dataset):
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


def test_two_years(devkit):
    dataset = voc(devkit)
    assert ids(dataset) == ['000005', '000007', '2008_000002']
    assert len(dataset.metainfo['classes']) == 20
    item = dataset[0]
    assert item['inputs'].shape == (3, 40, 60)
    found = item['data_samples'].gt_instances
    # From pixels that count from 1 to the edges of pixels.
    assert found.bboxes.tolist() == [[0, 0, 60, 40], [10, 4, 20, 30]]
    assert found.bboxes.dtype == torch.float32
    assert found.labels.tolist() == [8, 7]
    assert found.difficult.tolist() == [False, True]
    assert dataset[2]['data_samples'].gt_instances.labels.tolist() == [19]
    assert 'VOCDetection' in repr(dataset)


@pytest.mark.parametrize(
    'kwargs, expected, marks',
    [(dict(use_difficult=False), ['000005', '2008_000002'], [0]),
     (dict(use_difficult=False, test_mode=True),
      ['000005', '000007', '000009', '2008_000002'], [0, 1]),
     (dict(keep_empty=True),
      ['000005', '000007', '000009', '2008_000002'], [0, 1])])  # fmt: skip
def test_difficult_and_empty(devkit, kwargs, expected, marks):
    dataset = voc(devkit, **kwargs)
    assert ids(dataset) == expected
    found = dataset[0]['data_samples'].gt_instances
    assert found.difficult.tolist() == marks


def test_other_classes_are_left_out_and_counted(devkit):
    with logged() as messages:
        dataset = voc(devkit, classes=('cat', 'car'))
    assert ids(dataset) == ['000005', '000007']
    found = dataset[0]['data_samples'].gt_instances
    assert found.labels.tolist() == [0]
    assert '2 objects' in messages[0] and "'tvmonitor': 1" in messages[0]


def test_missing_parts(devkit):
    with pytest.raises(ValueError, match='are pairs'):
        voc(devkit, image_sets=('2007', 'trainval'))
    with pytest.raises(FileNotFoundError, match='list .*VOC2010.*image_sets'):
        voc(devkit, image_sets=[('2010', 'trainval')])
    (devkit / 'VOC2007' / 'Annotations' / '000007.xml').unlink()
    (devkit / 'VOC2007' / 'JPEGImages' / '000009.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='2 of 6 .*000009.jpg.*000007'):
        voc(devkit)


@pytest.mark.parametrize(
    'text', ['<annotation><size>', '<annotation></annotation>',
             '<annotation><object><name>cat</name></object></annotation>',
             '<annotation><size><width>6</width><height>x</height></size>'
             '</annotation>'])  # fmt: skip
def test_damaged_annotations(devkit, text):
    (devkit / 'VOC2007' / 'Annotations' / '000007.xml').write_text(text)
    with pytest.raises(ValueError, match='000007.xml.* damaged'):
        voc(devkit)


def test_truncated_jpeg(devkit):
    """Which OpenCV would fill up with grey."""
    cut_off(devkit / 'VOC2007' / 'JPEGImages' / '000005.jpg')
    with pytest.raises(ValueError, match="000005.jpg' cannot be decoded"):
        voc(devkit)[0]
    dataset = voc(devkit, corrupt='skip')
    assert dataset[0]['data_samples'].img_id == '000007'
    item = voc(devkit, corrupt='skip', test_mode=True)[0]
    assert item['data_samples'].corrupt
    assert item['inputs'].shape == (3, 40, 60)
    assert len(item['data_samples'].gt_instances) == 2


# Segmentation ---------------------------------------------------------------
@pytest.fixture
def year(tmp_path):
    lists = tmp_path / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('a\nb\n\n')
    (lists / 'trainaug.txt').write_text('b\n')
    for folder, mode in (
        ('SegmentationClass', 'P'),
        ('SegmentationClassAug', 'L'),
    ):
        (tmp_path / folder).mkdir()
        for seed, name in enumerate('ab'):
            write_image(tmp_path / 'JPEGImages' / f'{name}.jpg', seed=seed)
            classes = Image.fromarray(classes_of(folder + name), mode='L')
            if mode == 'P':
                classes = Image.fromarray(np.array(classes), mode='P')
                classes.putpalette([7, 8, 9] * 256)
            classes.save(tmp_path / folder / f'{name}.png')
    return tmp_path


def classes_of(name):
    random = np.random.default_rng(len(name))
    return random.choice([0, 3, 20, 255], (40, 60)).astype(np.uint8)


def segmentation(root, **kwargs):
    return DATASETS.build(
        dict(type='VOCSegmentation', data_root=str(root), pipeline=LOAD_MAP)
        | kwargs
    )


def test_palettes_are_classes(year):
    dataset = segmentation(year)
    assert ids(dataset) == ['a', 'b']
    assert dataset.metainfo['classes'][:2] == ('background', 'aeroplane')
    sample = dataset[0]['data_samples']
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert sample.gt_sem_seg.data.shape == (1, 40, 60)
    expected = classes_of('SegmentationClassa')
    assert np.array_equal(sample.gt_sem_seg.data[0], expected)


@pytest.mark.parametrize('prefix', [None, dict(map='SegmentationClassAug')])
def test_augmented_list(year, prefix):
    dataset = segmentation(year, image_set='trainaug', data_prefix=prefix)
    assert ids(dataset) == ['b']
    found = dataset[0]['data_samples'].gt_sem_seg.data[0]
    assert np.array_equal(found, classes_of('SegmentationClassAugb'))


def test_flips_keep_image_and_map_together(year):
    flip = dict(type='RandomHorizontalFlip', p=1.0)
    dataset = segmentation(
        year, pipeline=with_transforms(flip, load='LoadSemanticMap')
    )
    plain, flipped = segmentation(year)[1], dataset[1]
    assert torch.equal(flipped['inputs'], plain['inputs'].flip(2))
    data = [x['data_samples'].gt_sem_seg.data for x in (plain, flipped)]
    assert torch.equal(data[1], data[0].flip(2))


@pytest.mark.parametrize(
    'file', ['JPEGImages/a.jpg', 'SegmentationClass/a.png']
)
def test_corrupt_image_or_map(year, file):
    cut_off(year / file)
    with pytest.raises(ValueError, match=f"{file}' cannot be decoded"):
        segmentation(year)[0]
    assert segmentation(year, corrupt='skip')[0]['data_samples'].img_id == 'b'
    item = segmentation(year, corrupt='skip', test_mode=True)[0]
    assert item['data_samples'].corrupt
    assert item['inputs'].shape == (3, 40, 60)
    assert (item['data_samples'].gt_sem_seg.data == 255).all()


def test_wrong_maps(year):
    path = year / 'SegmentationClass' / 'a.png'
    Image.new('RGB', (60, 40)).save(path)
    with pytest.raises(ValueError, match="mode 'RGB'"):
        segmentation(year)[0]
    Image.new('L', (40, 60)).save(path)
    with pytest.raises(ValueError, match=r'\(60, 40\) .*\(40, 60\)'):
        segmentation(year)[0]
    path.unlink()
    with pytest.raises(FileNotFoundError, match='1 of 4 files .*a.png'):
        segmentation(year)
    with pytest.raises(FileNotFoundError, match='val.txt.*image_set'):
        segmentation(year, image_set='val')
