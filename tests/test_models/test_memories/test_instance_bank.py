import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import run_distributed

from mmdistill.models.memories import InstanceBank


def test_update_by_hand():
    bank = InstanceBank(num_samples=6, dim=3, momentum=0.75)
    before = bank.features.clone()
    x = F.normalize(torch.randn(2, 3))
    bank.update(torch.tensor([4, 1]), x)
    for row, index in zip(x, (4, 1), strict=True):
        expected = F.normalize(0.75 * before[index] + 0.25 * row, dim=0)
        torch.testing.assert_close(bank.features[index], expected)
    untouched = [0, 2, 3, 5]
    assert torch.equal(bank.features[untouched], before[untouched])


def test_twins_move_towards_their_mean():
    bank = InstanceBank(4, 3)
    before = bank.features.clone()
    x = F.normalize(torch.randn(3, 3))
    bank.update(torch.tensor([2, 0, 2]), x)
    expected = F.normalize(0.5 * before[2] + 0.25 * (x[0] + x[2]), dim=0)
    torch.testing.assert_close(bank.features[2], expected)


def test_initial_rows():
    features = InstanceBank(2000, 12).features
    bound = (3 / 12) ** 0.5
    assert features.abs().max() <= bound
    assert features.abs().max() > 0.99 * bound
    assert abs(features.mean()) < 0.01


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_dtypes(dtype):
    bank = InstanceBank(10, 4, dtype=dtype)
    bank.update(torch.arange(5), F.normalize(torch.randn(5, 4)))
    assert bank.features.dtype == getattr(torch, dtype)
    norms = bank.features[:5].float().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(5), atol=1e-2, rtol=0)


LABELS = torch.tensor([2, 0, -1, 2, 2, 2, 1, -1, 0, 2])


def test_negatives_are_uniform_over_other_classes():
    bank = InstanceBank(dim=2)
    bank.resize_to(10, LABELS)
    anchors = torch.tensor([0, 1, 6, 2])  # classes 2, 0, 1 and none
    drawn = bank.draw_negatives(anchors, 20000, LABELS[anchors])
    assert drawn.shape == (4, 20000)
    allowed = [
        (LABELS != 2).nonzero().flatten(),
        (LABELS != 0).nonzero().flatten(),
        (LABELS != 1).nonzero().flatten(),
        torch.tensor([0, 1, 3, 4, 5, 6, 7, 8, 9]),
    ]
    for row, candidates in zip(drawn, allowed, strict=True):
        counts = row.bincount(minlength=10)
        others = sorted(set(range(10)) - set(candidates.tolist()))
        assert counts[others].sum() == 0
        share = counts[candidates] / 20000 * len(candidates)
        torch.testing.assert_close(
            share, torch.ones(len(candidates)), atol=0.08, rtol=0
        )


def test_without_labels_only_the_anchor_is_excluded():
    bank = InstanceBank(num_samples=5, dim=2)
    drawn = bank.draw_negatives(torch.tensor([3, 0]), 2000)
    assert drawn[0].unique().tolist() == [0, 1, 2, 4]
    assert drawn[1].unique().tolist() == [1, 2, 3, 4]


def test_sized_for_the_dataset():
    bank = InstanceBank(dim=4)
    assert len(bank) == 0
    with pytest.raises(ValueError, match='num_samples'):
        bank.update(torch.tensor([0]), torch.ones(1, 4))
    bank.resize_to(10, LABELS)
    rows = bank.features.clone()
    bank.resize_to(10, LABELS)  # a second time changes nothing
    assert torch.equal(bank.features, rows)
    with pytest.raises(ValueError, match='holds 10 .* has 11'):
        bank.resize_to(11)
    with pytest.raises(ValueError, match='at least 2'):
        InstanceBank(dim=4).resize_to(1)


def test_one_class_leaves_no_negative():
    bank = InstanceBank(dim=4)
    bank.resize_to(6, torch.zeros(6, dtype=torch.long))
    with pytest.raises(ValueError, match='one class'):
        bank.draw_negatives(torch.tensor([0]), 3, torch.tensor([0]))


@pytest.mark.parametrize('dataset_first', [True, False])
def test_checkpoint_and_dataset_in_either_order(dataset_first):
    bank = InstanceBank(dim=4)
    bank.resize_to(10, LABELS)
    bank.update(torch.arange(3), F.normalize(torch.randn(3, 4)))
    saved = copy.deepcopy(bank.state_dict())

    other = InstanceBank(dim=4)
    if dataset_first:
        other.resize_to(10, LABELS)
    other.load_state_dict(saved)
    if not dataset_first:
        other.resize_to(10, LABELS)
    for name, value in bank.named_buffers():
        assert torch.equal(value, other.get_buffer(name)), name

    smaller = InstanceBank(num_samples=9, dim=4)
    with pytest.raises(ValueError, match='10 samples .* has 9'):
        smaller.load_state_dict(saved)


def update_share(rank, world):
    torch.manual_seed(0)
    bank = InstanceBank(num_samples=12, dim=4)
    torch.manual_seed(1)
    for _ in range(3):
        index = torch.randint(12, (6,))  # some samples occur twice
        x = F.normalize(torch.randn(6, 4))
        bank.update(index.chunk(world)[rank], x.chunk(world)[rank])
    return bank.features


def test_processes_equal_one():
    expected = update_share(0, 1).numpy()
    first, second = run_distributed(update_share, 2)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=1e-6)


def first_rows(rank, world):
    torch.manual_seed(rank)  # as with randomness.diff_rank_seed=True
    bank = InstanceBank(dim=4)
    bank.resize_to(7)
    return bank.features


def test_processes_start_alike():
    first, second = run_distributed(first_rows, 2)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize('dtype', ['int8', 'float8', 'bool'])
def test_a_bank_of_zeros_is_refused(dtype):
    with pytest.raises(ValueError, match=f"bfloat16.*got '{dtype}'.*bank_dty"):
        InstanceBank(10, dtype=dtype)
