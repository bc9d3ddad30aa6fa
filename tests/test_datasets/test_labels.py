"""The labels of a dataset, through wrappers."""

import pytest
import torch
from torch.utils.data import ConcatDataset, TensorDataset

from mmdistill.datasets import dataset_labels
from mmdistill.datasets.labels import largest_label
from mmdistill.registry import DATASETS

DIGITS = dict(type='Digits', indices=30)


@pytest.mark.parametrize(
    'cfg',
    [
        DIGITS,
        dict(type='ConcatDataset', datasets=[DIGITS, dict(DIGITS)]),
        dict(type='RepeatDataset', dataset=DIGITS, times=3),
        dict(type='ClassBalancedDataset', dataset=DIGITS, oversample_thr=0.2),
        dict(type='KFoldDataset', dataset=DIGITS, num_splits=3, fold=1),
    ],
    ids=lambda cfg: cfg['type'],
)
def test_labels_through_wrappers(cfg):
    dataset = DATASETS.build(cfg)
    expected = [
        dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))
    ]
    assert dataset_labels(dataset).tolist() == expected


def test_labels_of_other_datasets():
    dataset = TensorDataset(torch.zeros(3, 1))
    assert dataset_labels(dataset) is None
    dataset.targets = [2, 0, 1]
    assert dataset_labels(dataset).tolist() == [2, 0, 1]
    assert dataset_labels(ConcatDataset([dataset])) is None


def test_the_largest_label():
    dataset = DATASETS.build(DIGITS)
    labels = dataset_labels(dataset)
    assert largest_label(dataset) == labels.max()
    assert largest_label(dataset, limit=7) == labels[::5].max()
    others = TensorDataset(torch.zeros(3, 1))
    assert largest_label(others) is None
    others.targets = [[1, 2], [3, 4], [5, 6]]
    assert largest_label(others) is None
    others.targets = [0, 4, 1]
    assert largest_label(others) == 4
