import copy

import numpy as np
import pytest
import torch
from helpers import relative_error, run_distributed

from mmdistill.models import FeatureQueue


def rows(start: int, count: int, dim: int = 2) -> torch.Tensor:
    """Rows whose every entry is the row's number."""
    return torch.arange(start, start + count).float()[:, None].expand(-1, dim)


def test_ring_order_for_any_batch_size():
    queue, history = FeatureQueue(size=7, dim=2), []
    for count in (3, 1, 5, 7, 2, 16, 0, 4):
        batch = rows(len(history), count)
        history += batch.tolist()
        queue.enqueue(batch)
        assert len(queue) == min(len(history), 7)
        assert queue.ordered().tolist() == history[-7:]
    # a ring: row number i lies at position i modulo the size
    position = queue.features[:, 0].long() % 7
    assert position.tolist() == list(range(7))


def test_features_are_no_copy():
    queue = FeatureQueue(size=4, dim=2)
    assert queue.features.shape == (0, 2)
    queue.enqueue(rows(1, 3))
    assert queue.features.data_ptr() == queue.storage.data_ptr()
    assert queue.features.shape == (3, 2)


def test_moco_golden(golden):
    g = golden('moco_infonce')
    queue = FeatureQueue(size=64, dim=16).to(golden.dtype)
    queue.enqueue(g['queue_before'])
    queue.enqueue(torch.nn.functional.normalize(g['teacher_k']))
    assert relative_error(queue.features, g['queue_after']) < golden.bound


def test_two_queues_keep_one_order():
    a, b = FeatureQueue(5, 2), FeatureQueue(5, 3)
    for start, count in ((0, 4), (4, 3), (7, 9)):
        a.enqueue(rows(start, count))
        b.enqueue(rows(start, count, 3))
        assert a.features[:, 0].tolist() == b.features[:, 0].tolist()


def test_resumes():
    queue = FeatureQueue(5, 2)
    queue.enqueue(rows(0, 7))
    other = FeatureQueue(5, 2)
    other.load_state_dict(copy.deepcopy(queue.state_dict()))
    for q in (queue, other):
        q.enqueue(rows(7, 2))
    assert torch.equal(queue.storage, other.storage)
    assert torch.equal(queue.ordered(), other.ordered())
    with pytest.raises(ValueError, match='size'):
        FeatureQueue(6, 2).load_state_dict(queue.state_dict())


def test_switched_off_queue_keeps_and_shows_nothing():
    queue = FeatureQueue(5, 2)
    queue.enqueue(rows(0, 2))
    queue.enabled = False
    queue.enqueue(rows(2, 2))
    assert len(queue) == 0 and queue.features.shape == (0, 2)
    queue.enabled = True
    assert queue.ordered()[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    'make',
    [
        lambda: FeatureQueue(0, 2),
        lambda: FeatureQueue(4),
        lambda: FeatureQueue(4, 2).enqueue(torch.zeros(3, 5)),
    ],
)
def test_bad_input(make):
    with pytest.raises(ValueError, match='FeatureQueue'):
        make()


def enqueue_share(rank, world):
    queue = FeatureQueue(size=10, dim=2)
    for start in (0, 6, 12):
        queue.enqueue(rows(start, 6).chunk(world)[rank])
    return queue.state_dict()


def test_processes_equal_one():
    expected = enqueue_share(0, 1)
    for state in run_distributed(enqueue_share, 2):
        for name, value in expected.items():
            np.testing.assert_array_equal(state[name], value.numpy())


def test_a_storage_that_cannot_hold_the_rows():
    with pytest.raises(ValueError, match="'float32'.*got 'int8'.*queue_dtype"):
        FeatureQueue(size=4, dim=2, dtype='int8')
    numbers = FeatureQueue(size=4, dim=2, dtype='int64')
    numbers.enqueue(rows(1, 3).long())
    assert len(numbers) == 3
    with pytest.raises(ValueError, match='vectors become zeros.*bank_dtype'):
        numbers.enqueue(rows(1, 3) / 2)
