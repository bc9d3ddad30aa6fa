"""COCO's format: what becomes of good, odd and broken files."""

import json

import numpy as np
import pytest
import torch
from annotation_files import (
    BOXES,
    annotation,
    coco,
    decoded,
    logged,
    write_coco,
    write_image,
)
from pycocotools import mask as coco_mask


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, BOXES)


def ids(dataset):
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


def change(root, **parts):
    """Lay parts over the annotation file."""
    path = root / 'annotations.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))


def test_a_sample(root):
    dataset = coco(root, with_masks=True)
    item = dataset[0]
    assert item['inputs'].dtype == torch.uint8
    assert type(item['inputs']) is torch.Tensor
    assert torch.equal(item['inputs'], decoded(root / 'images' / '001.png'))
    sample = item['data_samples']
    assert sample.metainfo == dict(
        img_id=10,
        img_path=str(root / 'images' / '001.png'),
        ori_shape=(40, 60),
        img_shape=(40, 60),
        corrupt=False,
    )
    found = sample.gt_instances
    assert found.bboxes.dtype == torch.float32
    assert found.bboxes.tolist() == [[5, 6, 25, 16], [30, 0, 45.5, 40]]
    assert found.labels.dtype == torch.int64
    assert found.labels.tolist() == [1, 2]
    assert found.masks.dtype == torch.bool
    assert found.masks.shape == (2, 40, 60)
    expected = torch.zeros(40, 60, dtype=torch.bool)
    expected[6:16, 5:25] = True
    assert torch.equal(found.masks[0], expected)
    assert 'CocoDetection' in repr(dataset)


def test_category_ids_with_gaps_lead_back(root):
    meta = coco(root).metainfo
    assert meta['category_ids'] == (3, 7, 90)
    assert meta['classes'] == ('class3', 'class7', 'class90')


def test_some_classes_in_another_order(root):
    dataset = coco(root, classes=('class90', 'class3'))
    assert dataset.metainfo['category_ids'] == (90, 3)
    assert [dataset.get_cat_ids(i) for i in range(3)] == [[0], [1], [1]]


@pytest.mark.parametrize(
    'kwargs, expected',
    [({}, [10, 20, 40]), (dict(keep_empty=True), [10, 20, 30, 40]),
     (dict(test_mode=True), [10, 20, 30, 40])])  # fmt: skip
def test_images_without_boxes(root, kwargs, expected):
    dataset = coco(root, with_masks=True, **kwargs)
    assert ids(dataset) == expected
    if 30 in expected:
        found = dataset[2]['data_samples'].gt_instances
        assert found.bboxes.shape == (0, 4)
        assert found.masks.shape == (0, 40, 60)
        assert found.labels.dtype == torch.int64


def test_crowds_are_no_targets(root):
    crowd = dict(size=[40, 60], counts=[0, 40, 2360])
    more = annotation(5, 30, 3, (0, 0, 1, 40), iscrowd=1, segmentation=crowd)
    change(root, annotations=[*BOXES, more])
    assert ids(coco(root, with_masks=True)) == [10, 20, 40]


def test_boxes_outside_and_without_area(root):
    change(
        root,
        annotations=[
            annotation(1, 10, 3, (50, 30, 20, 20)),  # half outside
            annotation(2, 10, 3, (10, 10, 0, 5)),
            annotation(3, 10, 3, (10, 10, 0.5, 5)),
            annotation(4, 20, 3, (70, 10, 5, 5)),
            annotation(5, 20, 3, (-9, -9, 9, 9)),
            annotation(6, 30, 3, (0, 0, 60.04, 40)),  # rounding
            annotation(7, 30, 3, (5, 5, float('nan'), 5)),
        ],
    )
    with logged() as messages:
        dataset = coco(root)
    assert ids(dataset) == [10, 30]
    boxes = [dataset.get_data_info(i)['boxes'].tolist() for i in (0, 1)]
    assert boxes == [[[50, 30, 60, 40]], [[0, 0, 60, 40]]]
    clipped, dropped, empty = messages
    assert clipped.startswith('1 boxes (x1, y1, x2, y2) reach out')
    assert clipped.endswith('[50.0, 30.0, 70.0, 50.0] in 001.png')
    assert dropped.startswith('5 boxes (x1, y1, x2, y2) have less than a')
    assert '[70.0, 10.0, 75.0, 15.0] in 002.png' in dropped
    assert empty.startswith('2 of the 4 images')


def test_outlines_of_every_kind(root):
    """Several polygons, run lengths as numbers and as text: one mask."""
    expected = np.zeros((40, 60), np.uint8)
    expected[4:8, 2:10] = expected[20:30, 40:50] = 1
    text = coco_mask.encode(np.asfortranarray(expected))
    text['counts'] = text['counts'].decode()
    flat = expected.T.flatten()
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    counts = np.diff([0, *changes, flat.size]).tolist()
    polygons = [
        [2, 4, 10, 4, 10, 8, 2, 8],
        [40, 20, 50, 20, 50, 30, 40, 30],
        [1, 1, 2, 2],  # a line
    ]
    outlines = [polygons, text, dict(size=[40, 60], counts=counts)]
    change(
        root,
        annotations=[
            annotation(i, 10, 3, (2, 4, 48, 26), segmentation=outline)
            for i, outline in enumerate(outlines)
        ],
    )
    masks = coco(root, with_masks=True)[0]['data_samples'].gt_instances.masks
    for mask in masks:
        assert np.array_equal(mask, expected.astype(bool))


# Subsets --------------------------------------------------------------------
def test_splits_do_not_overlap_and_do_not_change(tmp_path):
    write_coco(tmp_path, BOXES, images=11)

    def split(i, seed=0):
        subset = dict(size=2, split=i, seed=seed)
        return ids(coco(tmp_path, subset=subset, test_mode=True))

    splits = [split(i) for i in range(5)]
    assert len({i for part in splits for i in part}) == 10
    order = np.random.RandomState(0).permutation(11)
    assert splits[1] == sorted(10 * (order[2:4] + 1))
    assert splits == [split(i) for i in range(5)]
    assert splits != [split(i, seed=1) for i in range(5)]


def test_only_the_subset_has_to_be_there(root):
    chosen = ids(coco(root, subset=dict(size=2), test_mode=True))
    for i in {10, 20, 30, 40} - set(chosen):
        (root / 'images' / f'{i // 10:03d}.png').unlink()
    assert ids(coco(root, subset=dict(size=2), test_mode=True)) == chosen


# Errors ---------------------------------------------------------------------
@pytest.mark.parametrize(
    'parts, message',
    [(dict(annotations=[annotation(i, 70 + i % 2, 3, (0, 0, 5, 5))
                        for i in range(3)]),
      r'3 annotations .* image_id .*\(70, 71\)'),
     (dict(annotations=[annotation(1, 10, 4, (0, 0, 5, 5))]),
      r'1 annotations .* category_id .*\(4\)'),
     (dict(annotations=[annotation(8, 10, 3, (0, 0, 5, 5), segmentation=[])]),
      'annotation 8 .* no segmentation .*with_masks=False')])  # fmt: skip
def test_wrong_annotations(root, parts, message):
    change(root, **parts)
    with pytest.raises(ValueError, match=message):
        coco(root, with_masks=True)


@pytest.mark.parametrize(
    'kwargs, error, message',
    [(dict(ann_file='no.json'), FileNotFoundError, 'no.json.*set data_root'),
     (dict(ann_file='images/001.png'), ValueError, 'is no JSON file'),
     (dict(ann_file='other.json'), ValueError, r"no \['images', 'ann"),
     (dict(classes=('class3', 'dog')), ValueError, r"no category \['dog'\]"),
     (dict(data_prefix=dict(img='img')), FileNotFoundError,
      '4 of 4 files .*001.png'),
     (dict(subset=dict(size=3, split=1)), ValueError, 'needs 6 .*has 4.* 0 '),
     (dict(corrupt='ignore'), ValueError, "'fail' or 'skip'")])  # fmt: skip
def test_wrong_settings(root, kwargs, error, message):
    (root / 'other.json').write_text('{"categories": []}')
    with pytest.raises(error, match=message):
        coco(root, **kwargs)


def test_missing_images_are_named_and_counted(root):
    for i in (2, 4):
        (root / 'images' / f'{i:03d}.png').unlink()
    with pytest.raises(FileNotFoundError, match='2 of 4 .*002.png.*004.png'):
        coco(root)


def test_an_image_of_another_size(root):
    write_image(root / 'images' / '001.png', size=(60, 40))
    with pytest.raises(ValueError, match='60 x 40 pixels, .* as 40 x 60'):
        coco(root)[0]
