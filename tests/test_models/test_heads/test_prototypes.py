"""Prototypes score directions alone."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmdistill.models.heads import PrototypeHead


@pytest.mark.parametrize('weight_norm', [False, True])
def test_scores_by_hand(weight_norm):
    head = PrototypeHead(6, 9, weight_norm=weight_norm)
    parameters = dict(head.named_parameters())
    assert set(parameters) == {'weight'} | (
        {'scale'} if weight_norm else set()
    )
    with torch.no_grad():
        head.weight.mul_(3)
        if weight_norm:
            assert torch.equal(head.scale, torch.ones(9, 1))
            head.scale.uniform_(0.5, 2)
    scale = head.scale if weight_norm else torch.ones(9, 1)
    # torch's own weight normalisation, with its gradient
    leaves = [
        head.weight.detach().clone().requires_grad_(),
        scale.detach().clone().requires_grad_(),
    ]
    x = torch.randn(5, 6)
    weight = torch._weight_norm(*leaves, 0)
    expected = x @ weight.t()
    got = head(x)
    torch.testing.assert_close(got, expected)
    down = torch.randn(5, 9)
    got.backward(down)
    expected.backward(down)
    torch.testing.assert_close(head.weight.grad, leaves[0].grad)
    if weight_norm:
        torch.testing.assert_close(head.scale.grad, leaves[1].grad)


def test_scores_do_not_depend_on_the_length_of_weights():
    head = PrototypeHead(6, 9)
    x = F.normalize(torch.randn(5, 6))
    before = head(x)
    before.square().sum().backward()
    # so the gradient has no part along the weight
    along = (head.weight.grad * head.weight).sum(dim=1)
    torch.testing.assert_close(along, torch.zeros(9))
    assert before.abs().max() <= 1
    with torch.no_grad():
        head.weight.mul_(torch.rand(9, 1) + 0.1)
    torch.testing.assert_close(head(x), before)


def test_a_prototype_of_zeros_stays_finite():
    head = PrototypeHead(6, 9)
    with torch.no_grad():
        head.weight[3] = 0
    scores = head(torch.randn(5, 6))
    assert torch.all(scores[:, 3] == 0)
    scores.sum().backward()
    assert head.weight.grad.isfinite().all()


def test_scores_are_float32_under_autocast():
    head = PrototypeHead(64, 9)
    x = torch.randn(5, 64)
    with torch.autocast('cpu', torch.bfloat16):
        scores = head(x.bfloat16())
    torch.testing.assert_close(scores, head(x.bfloat16().float()))


class LargeTensors(TorchDispatchMode):
    """Counts the new tensors of at least some number of elements."""

    def __init__(self, size):
        super().__init__()
        self.size, self.storages = size, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() >= self.size:
            self.storages.add(out.untyped_storage().data_ptr())
        return out


@pytest.mark.parametrize('weight_norm', [False, True])
def test_many_prototypes_are_copied_once(weight_norm):
    head = PrototypeHead(16, 4096, weight_norm=weight_norm)
    with LargeTensors(head.weight.numel()) as large:
        head(torch.randn(3, 16))
    own = {head.weight.untyped_storage().data_ptr()}
    assert len(large.storages - own) == 1
