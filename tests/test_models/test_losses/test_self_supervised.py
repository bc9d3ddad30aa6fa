"""DINO and SwAV: golden numbers, the papers' formulas, and processes."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error, run_distributed

from mmdistill.models.losses import DINOLoss, SwappedPredictionLoss
from mmdistill.models.losses import soft_targets as st
from mmdistill.ops import sinkhorn


def scores(seed: int, rows: int = 12, scale: float = 1.0) -> torch.Tensor:
    """Like cosine similarities of 6 prototypes when scale is 1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, dtype=torch.float64, generator=generator)
    return scale * x.tanh()


def test_a_long_sum_keeps_its_digits():
    """As many terms as 64 samples have with DINO's 65536 prototypes."""
    p = torch.rand(64, 65536).softmax(1)
    x = torch.rand(64, 65536).log_softmax(1)
    expected = (p.double() * x.double()).sum(1).mean()
    assert relative_error(st.mean_inner_product(p, x), expected) < 1e-6


# DINO -----------------------------------------------------------------------
def test_dino_golden(golden):
    g = golden('dino')
    loss_module = DINOLoss(num_prototypes=32).to(golden.dtype)
    loss_module.center.value.copy_(g['center_before'].flatten())
    for call in ('', 'call2_'):  # the centre goes on from the first call
        student = g[f'{call}student_out'].clone().requires_grad_()
        teacher = g[f'{call}teacher_out']
        loss = loss_module(student.chunk(6), teacher.chunk(2))
        loss.backward()
        expected = {
            name: g[f'{call}{name}']
            for name in ('loss', 'grad_student_out', 'center_after')
        }
        assert relative_error(loss, expected['loss']) < golden.bound
        error = relative_error(student.grad, expected['grad_student_out'])
        assert error < golden.bound
        error = relative_error(
            loss_module.center.value, expected['center_after'].flatten()
        )
        assert error < golden.bound


def dino_by_hand(student, teacher, center):
    target = ((teacher - center) / 0.04).softmax(1)
    return -(target * (student / 0.1).log_softmax(1)).sum(1).mean()


PAIRS = dict(
    cross=[(0, 1), (0, 2), (1, 0), (1, 2)],
    all=[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    same_and_local=[(0, 0), (0, 2), (1, 1), (1, 2)],
)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pairs', PAIRS)
def test_dino_views_are_the_sum_of_their_pairs(pairs, reduction):
    """Two global views and a local one, with a centre that is not 0."""
    student, teacher = [scores(i) for i in range(3)], [scores(5), scores(6)]
    loss = DINOLoss(6, pairs=pairs, reduction=reduction).double()
    (center,) = scores(7, rows=1)
    loss.center.value.copy_(center)
    value = loss(student, teacher)
    expected = sum(
        dino_by_hand(student[s], teacher[t], center) for t, s in PAIRS[pairs]
    )
    if reduction == 'mean':
        expected = expected / len(PAIRS[pairs])
    torch.testing.assert_close(value, expected)
    mean = torch.cat(teacher).mean(0)
    torch.testing.assert_close(loss.center.value, 0.9 * center + 0.1 * mean)


def test_two_tensors_are_one_pair():
    """As an offline distiller gives them, whatever pairs says."""
    loss = DINOLoss(6).double()
    expected = dino_by_hand(scores(0), scores(1), 0)
    torch.testing.assert_close(loss(scores(0), scores(1)), expected)


def test_center_rests_in_eval():
    loss = DINOLoss(6).double().eval()
    loss(scores(0), scores(1))
    assert not loss.center.value.any()


def test_one_log_sum_exp_a_view(monkeypatch):
    """Ten pairs of two teacher views and six student views."""
    sizes, original = [], torch.Tensor.logsumexp

    def counted(x, *args, **kwargs):
        sizes.append(x.shape)
        return original(x, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, 'logsumexp', counted)
    DINOLoss(6).double()(
        [scores(i) for i in range(6)], [scores(i) for i in range(2)]
    )
    assert sizes == [(12, 6)] * 6


@pytest.mark.parametrize('prior', [False, True])
def test_chunks_do_not_matter(monkeypatch, prior):
    """Values and gradients, and gradients against differences."""
    views = [scores(i).requires_grad_() for i in range(3)]
    targets = [scores(i + 5).softmax(1) for i in range(2)]
    log_prior = torch.rand(6).double().log() if prior else None

    def loss(*views):
        return st.soft_cross_entropy(
            views, targets, 0.3, 'cross', 'sum', log_prior
        )

    value = loss(*views)
    grads = torch.autograd.grad(value, views)
    assert torch.autograd.gradcheck(loss, views)
    whole = st._chunks(views[0])
    monkeypatch.setattr(
        st, '_chunks', lambda x: [slice(i, i + 5) for i in (0, 5, 10)]
    )
    assert len(whole) == 1
    torch.testing.assert_close(loss(*views), value)
    for one, other in zip(
        torch.autograd.grad(loss(*views), views), grads, strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize('crops', [1, 6])
def test_memory_does_not_grow_with_the_crops(monkeypatch, capsys, crops):
    """Three (N, K) matrices beside the scores and their gradients."""
    tool = Path(__file__).parents[3] / 'benchmarks/benchmark_protocpc.py'
    options = dict(batch_size=128, threads=1, repeats=1, local_crops=crops)
    argv = [f'--{k.replace("_", "-")}={v}' for k, v in options.items()]
    monkeypatch.setattr(sys, 'argv', [str(tool), *argv])
    monkeypatch.syspath_prepend(tool.parent)
    runpy.run_path(str(tool), run_name='__main__')
    (extra,) = re.findall(r'([\d.]+) matrices', capsys.readouterr().out)
    assert float(extra) < 2.1


@pytest.mark.parametrize('num_prototypes', [6, None])
def test_dino_saved_and_resumed_equals_never_stopped(num_prototypes):
    loss = DINOLoss(num_prototypes)
    steps = [(scores(i).float(), scores(i + 9).float()) for i in range(4)]
    for step in steps[:2]:
        loss(*step)
    resumed = DINOLoss(num_prototypes)
    resumed.load_state_dict(loss.state_dict())
    for step in steps[2:]:
        assert torch.equal(resumed(*step), loss(*step))
    assert loss.center.value.shape == (6,)
    assert torch.equal(resumed.center.value, loss.center.value)


# SwAV -----------------------------------------------------------------------
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


def test_queues_that_nothing_fills_are_refused():
    loss = SwappedPredictionLoss(queue_size=8, dim=4)
    with pytest.raises(ValueError, match="queue_size.*'OSS'"):
        loss([scores(0)] * 2, [scores(1)] * 2)


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


# Both -----------------------------------------------------------------------
@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_gradients(kind):
    loss = kind().double().eval()
    views = [scores(i, 3).requires_grad_() for i in range(3)]
    teacher = [scores(i + 9, 3) for i in range(2)]
    assert torch.autograd.gradcheck(
        lambda *student: loss(student, teacher), views
    )


@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_the_teacher_gets_no_gradient(kind):
    student, teacher = ([scores(i).requires_grad_()] * 2 for i in range(2))
    kind().double()(student, teacher).backward()
    assert student[0].grad.any() and teacher[0].grad is None


@pytest.mark.parametrize('kind', [DINOLoss, SwappedPredictionLoss])
def test_bad_views(kind):
    with pytest.raises(ValueError, match='1 teacher view.*no pair'):
        kind()([scores(0)], [scores(1)])
    with pytest.raises(ValueError, match="'cross'.*'mean'.*'some'"):
        kind(pairs='some')([scores(0)] * 2, [scores(1)] * 2)


def test_uniform_scores_give_log_k():
    """Closed form: nothing is told apart."""
    zeros = [torch.zeros(4, 6)] * 2
    for kind in (DINOLoss, SwappedPredictionLoss):
        torch.testing.assert_close(
            kind()(zeros, zeros),
            F.cross_entropy(zeros[0], zeros[0].softmax(1)),
        )


def dino_steps(rank, world):
    """Two steps of two views; the first process holds 9 of 12 samples."""
    share = [slice(12)] if world == 1 else [slice(9), slice(9, 12)]
    loss = DINOLoss().double()
    values = []
    for step in range(2):
        views = [scores(10 * step + i)[share[rank]] for i in range(4)]
        values.append(loss(views[:2], views[2:]))
    return loss.center.value, torch.stack(values)


def codes_of_a_share(rank, world):
    """7 and 5 samples of the batch, 4 and 16 of the queue."""
    rows, queued = ([12], [20]) if world == 1 else ([7, 5], [4, 16])
    batch = scores(0).split(rows)[rank]
    queue = scores(1, 20).split(queued)[rank]
    return SwappedPredictionLoss().codes(batch, queue)


def both(rank, world):
    return dino_steps(rank, world), codes_of_a_share(rank, world)


def test_processes_equal_one():
    (center, values), codes = both(0, 1)
    dino, parts = zip(*run_distributed(both, 2), strict=True)
    for other, _ in dino:
        np.testing.assert_allclose(other, center.numpy(), rtol=1e-12)
    mean = 9 / 12 * dino[0][1] + 3 / 12 * dino[1][1]
    np.testing.assert_allclose(mean, values.numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        np.concatenate(parts), codes.numpy(), rtol=1e-10
    )
