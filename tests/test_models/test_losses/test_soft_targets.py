"""Cross entropy with soft targets over many prototypes."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error
from loss_inputs import scores

from mmdistill.models.losses import DINOLoss, SwappedPredictionLoss
from mmdistill.models.losses import soft_targets as st


def test_a_long_sum_keeps_its_digits():
    """As many terms as 64 samples have with DINO's 65536 prototypes."""
    p = torch.rand(64, 65536).softmax(1)
    x = torch.rand(64, 65536).log_softmax(1)
    expected = (p.double() * x.double()).sum(1).mean()
    assert relative_error(st.mean_inner_product(p, x), expected) < 1e-6


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


def test_uniform_scores_give_log_k():
    """Closed form: nothing is told apart."""
    zeros = [torch.zeros(4, 6)] * 2
    for kind in (DINOLoss, SwappedPredictionLoss):
        torch.testing.assert_close(
            kind()(zeros, zeros),
            F.cross_entropy(zeros[0], zeros[0].softmax(1)),
        )
