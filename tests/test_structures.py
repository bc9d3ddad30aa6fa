"""Samples of a batch, made when they are asked for."""

import pytest
import torch

from mmdistill.structures import BatchedSamples


def samples(count=6):
    return BatchedSamples(torch.arange(count), torch.arange(count) % 3)


def test_samples_are_data_samples_on_demand():
    batch = samples()
    assert len(batch) == 6 and len(batch[1:3]) == 2
    assert batch[-1].sample_idx == 5
    batch[4].set_pred_label(2)
    assert [s.sample_idx for s in batch] == list(range(6))
    assert [int(s.gt_label) for s in batch] == [0, 1, 2, 0, 1, 2]
    assert batch[4].pred_label == 2 and 'pred_label' not in batch[3]
    assert list(batch)[4] is batch[4]
    moved = batch.to('cpu')
    assert moved[4].pred_label == 2 and len(moved) == 6
    with pytest.raises(IndexError):
        batch[6]
    unlabelled = BatchedSamples(torch.arange(3))
    assert 'gt_label' not in unlabelled[0]
    assert [s.sample_idx for s in unlabelled] == [0, 1, 2]
    assert set(unlabelled.fields('cpu')) == {'sample_idx'}
