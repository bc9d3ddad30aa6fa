"""Swapped predictions by hand."""

import pytest
import torch
from loss_inputs import scores

from mmdistill.models.losses import SwappedPredictionLoss
from mmdistill.ops import sinkhorn


def swav_codes(rows):
    """The assignment as SwAV writes it, for scores that exp can carry."""
    q = (rows / 0.05).exp().t()
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(1, keepdim=True) * len(q)
        q /= q.sum(0, keepdim=True) * q.shape[1]
    return (q * q.shape[1]).t()


def swav_by_hand(views, queues, reduction='mean'):
    """Views: two full crops, then small ones; queues: one a full crop."""
    total = 0
    for i in range(2):
        rows = torch.cat([views[i].detach(), queues[i]])
        q = swav_codes(rows)[: len(views[i])]
        terms = [
            -(q * (views[v] / 0.1).log_softmax(1)).sum(1).mean()
            for v in range(len(views))
            if v != i
        ]
        total += sum(terms) / (len(terms) if reduction == 'mean' else 1)
    return total / 2 if reduction == 'mean' else total


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('queue_rows', [0, 20])
def test_swav_by_hand(queue_rows, reduction):
    """Two full and three small crops."""
    views = [scores(i).requires_grad_() for i in range(5)]
    queues = [scores(20 + i, queue_rows) for i in range(2)]
    expected = swav_by_hand(views, queues, reduction)
    expected.backward()
    wanted = [view.grad for view in views]

    loss = SwappedPredictionLoss(reduction=reduction)
    views = [view.detach().requires_grad_() for view in views]
    if queue_rows:
        codes = [loss.codes(v, q) for v, q in zip(views, queues, strict=False)]
        value = loss.predict(views, codes)
    else:
        value = loss(views, views[:2])
    value.backward()
    torch.testing.assert_close(value, expected)
    for view, grad in zip(views, wanted, strict=True):
        torch.testing.assert_close(view.grad, grad)


def test_the_queue_shares_in_the_balance():
    loss = SwappedPredictionLoss(epsilon=0.5, iterations=200)
    batch, queue = scores(0), scores(1, 30)
    codes = loss.codes(batch.requires_grad_(), queue)
    assert codes.shape == (12, 6) and not codes.requires_grad
    torch.testing.assert_close(codes.sum(1), torch.ones(12).double())
    joined = loss.codes(torch.cat([batch, queue]))
    torch.testing.assert_close(joined.sum(0), torch.full((6,), 7.0).double())
    torch.testing.assert_close(codes, joined[:12])
    assert (codes - loss.codes(batch)).abs().max() > 0.01


def test_codes_in_half_precision():
    """The queue may be stored in another precision than the scores."""
    batch = scores(0, scale=1000).half()
    queue = scores(1, 20, scale=1000).bfloat16()
    codes = SwappedPredictionLoss().codes(batch, queue)
    assert codes.dtype == torch.float32 and codes.isfinite().all()
    expected = sinkhorn(torch.cat([batch.float(), queue.float()]), 0.05, 3)
    torch.testing.assert_close(codes, expected[:12])


def test_further_views_of_full_crops():
    """Eqs. 2 and 5 of the second paper: views from dropout follow both codes.

    The order is full crops, their dropout views, a small crop; only a full
    crop itself is not compared with its own code.
    """
    full, dropped, small = (
        [scores(i + k) for k in range(n)]
        for i, n in ((0, 2), (10, 2), (20, 1))
    )
    loss = SwappedPredictionLoss(reduction='sum', loss_weight=3.0)
    codes = [loss.codes(view) for view in full]

    def term(view, code):
        return -(code * (view / 0.1).log_softmax(1)).sum(1).mean()

    expected = term(full[0], codes[1]) + term(full[1], codes[0])
    expected += sum(term(v, q) for v in dropped + small for q in codes)
    value = loss.predict(full + dropped + small, codes)
    torch.testing.assert_close(value, 3 * expected)
    same = loss.predict(full, codes, pairs='same_and_local')
    expected = term(full[0], codes[0]) + term(full[1], codes[1])
    torch.testing.assert_close(same, 3 * expected)


def test_queues_that_nothing_fills_are_refused():
    loss = SwappedPredictionLoss(queue_size=8, dim=4)
    with pytest.raises(ValueError, match="queue_size.*'OSS'"):
        loss([scores(0)] * 2, [scores(1)] * 2)
