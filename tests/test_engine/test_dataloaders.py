"""Dataloaders of datasets without a sample, and of others."""

import pytest

from mmdistill.engine.dataloaders import build_dataloader

DIGITS = dict(type='Digits', pipeline=[])


def loader(**dataset):
    return build_dataloader(
        dict(
            batch_size=4,
            num_workers=0,
            dataset=dataset,
            sampler=dict(type='DefaultSampler', shuffle=False),
        )
    )


def test_a_dataset_with_samples():
    assert len(loader(**DIGITS, indices=9)) == 3


@pytest.mark.parametrize('several', [False, True])
def test_a_dataset_without_any_names_the_keys(several):
    empty = dict(DIGITS, indices=0)
    if several:
        empty = dict(type='ConcatDataset', datasets=[empty, dict(empty)])
    with pytest.raises(ValueError, match='no sample; .*data_root.*ann_file'):
        loader(**empty)


def test_other_errors_stay_as_they_are():
    with pytest.raises(ValueError, match='split') as error:
        loader(**DIGITS, split='all')
    assert 'no sample' not in str(error.value)
