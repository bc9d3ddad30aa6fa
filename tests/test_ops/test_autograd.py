import torch

from mmdistill.ops import after_backward


def test_runs_once_after_the_whole_backward():
    calls = []
    memory = torch.ones(3)
    weight = torch.ones(3, requires_grad=True)

    def update():
        assert weight.grad is not None  # the backward pass is over
        memory.mul_(2)
        calls.append(1)

    loss = (weight * memory).sum()
    after_backward(loss, update)
    assert not calls
    (loss * 3).backward()
    assert calls == [1]
    assert torch.equal(memory, torch.full((3,), 2.0))
    assert torch.equal(weight.grad, torch.full((3,), 3.0))


def test_without_a_graph_nothing_happens():
    after_backward(torch.zeros(()), lambda: 1 / 0)
    with torch.no_grad():
        value = torch.ones(2, requires_grad=True).sum()
    after_backward(value, lambda: 1 / 0)


def test_second_backward_does_not_repeat():
    calls = []
    weight = torch.ones(2, requires_grad=True)
    loss = (weight**2).sum()
    after_backward(loss, lambda: calls.append(1))
    loss.backward(retain_graph=True)
    loss.backward()
    assert calls == [1]
