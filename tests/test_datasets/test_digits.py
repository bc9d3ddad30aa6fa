import numpy as np
import pytest
from sklearn.datasets import load_digits

from mmdistill.registry import DATASETS

PACK = [dict(type='PackInputs')]


def digits(**kwargs):
    return DATASETS.build(dict(type='Digits', **kwargs))


def test_split_by_file_order_within_each_class():
    _, labels = load_digits(return_X_y=True)
    train, test = digits(split='train'), digits(split='test')
    assert (len(train), len(test)) == (898, 899)
    ids = [
        [d.get_data_info(i)['img_id'] for i in range(len(d))]
        for d in (train, test)
    ]
    assert sorted(ids[0] + ids[1]) == list(range(1797))
    for number in range(10):
        first, second = ([i for i in part if labels[i] == number]
                         for part in ids)  # fmt: skip
        assert max(first) < min(second)
        assert abs(len(first) - len(second)) <= 1


def test_images_are_the_files():
    images, labels = load_digits(return_X_y=True)
    for split in ('train', 'test'):
        dataset = digits(split=split)
        for i in range(0, len(dataset), 50):
            info = dataset.get_data_info(i)
            assert info['img'].shape == (8, 8, 1)
            assert info['img'].dtype == np.uint8
            pixels = images[info['img_id']].reshape(8, 8, 1)
            assert np.array_equal(info['img'], pixels * 15)
            assert info['gt_label'] == labels[info['img_id']]


def test_labels_are_evenly_spaced():
    whole = digits()
    labels = whole.get_gt_labels()
    few = digits(labelled_per_class=10).get_gt_labels()
    assert len(few) == 898
    for number in range(10):
        of_class = np.flatnonzero(labels == number)
        kept = np.flatnonzero(few == number)
        assert len(kept) == 10
        assert set(kept) <= set(of_class)
        gaps = np.diff([np.searchsorted(of_class, i) for i in kept])
        assert gaps.max() - gaps.min() <= 1
    assert (few == -1).sum() == 798
    alone = digits(labelled_per_class=10, drop_unlabelled=True)
    assert len(alone) == 100
    assert np.bincount(alone.get_gt_labels()).tolist() == [10] * 10


def test_item():
    pipeline = [dict(type='RandomCrop', crop_size=8, padding=1), *PACK]
    item = digits(pipeline=pipeline)[5]
    assert item['inputs'].shape == (1, 8, 8)
    assert item['data_samples'].sample_idx == 5


@pytest.mark.parametrize(
    'kwargs',
    [dict(split='val'), dict(labelled_per_class=0),
     dict(labelled_per_class=100)])  # fmt: skip
def test_bad_input(kwargs):
    with pytest.raises(ValueError, match='split|labelled_per_class'):
        digits(**kwargs)


def test_groups_make_the_classes():
    digits = DATASETS.build(dict(type='Digits', labelled_per_class=2))
    parity = DATASETS.build(
        dict(
            type='Digits',
            labelled_per_class=2,
            groups=((0, 2, 4, 6, 8), (1, 3, 5, 7, 9)),
        )
    )
    assert parity.CLASSES == ('0/2/4/6/8', '1/3/5/7/9')
    labels = digits.get_gt_labels()
    assert (labels >= 0).sum() == 20
    expected = [label % 2 if label >= 0 else -1 for label in labels]
    assert parity.get_gt_labels().tolist() == expected


@pytest.mark.parametrize('groups', [((0, 1), (2, 3)), (range(10), (3,))])
def test_groups_hold_every_digit_once(groups):
    with pytest.raises(ValueError, match='groups'):
        DATASETS.build(dict(type='Digits', groups=groups))
