"""Projection heads, layer by layer."""

import copy

import pytest
import torch
from torch import nn

from mmdistill.models.heads import ProjectionHead
from mmdistill.ops import l2_normalize


def layers(head, batch_norm, activation, bias):
    """The same layers, written out, with the head's weights."""
    linears = [layer for layer in head if isinstance(layer, nn.Linear)]
    widths = [layer.in_features for layer in linears]
    widths.append(head[-1].out_features)
    modules = []
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        last = i == len(widths) - 2
        modules.append(nn.Linear(a, b, bias=bias or last))
        if not last:
            modules += [nn.BatchNorm1d(b)] if batch_norm else []
            modules.append(activation())
    network = nn.Sequential(*modules)
    network.load_state_dict(copy.deepcopy(head.state_dict()))
    return network


# arguments; BatchNorm, activation and bias that they mean; L2 at the end
HEADS = {
    'default': (dict(), (True, nn.ReLU, False), False),
    'deep': (dict(num_layers=4), (True, nn.ReLU, False), False),
    'mocov2': (
        dict(batch_norm=False, normalize=True),
        (False, nn.ReLU, True),
        True,
    ),
    'swav': (dict(bias=True, normalize=True), (True, nn.ReLU, True), True),
    'dino': (
        dict(num_layers=3, batch_norm=False, activation='GELU',
             normalize=True),
        (False, nn.GELU, True),
        True,
    ),
    'dino_norm': (
        dict(num_layers=3, activation='GELU', bias=True, normalize=True),
        (True, nn.GELU, True),
        True,
    ),
}  # fmt: skip


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('name', HEADS)
def test_projection_by_hand(name, training):
    kwargs, same, normalized = HEADS[name]
    head = ProjectionHead(6, 8, 5, **kwargs).train(training)
    network = layers(head, *same).train(training)
    x = torch.randn(7, 6)
    expected = network(x)
    if normalized:
        expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(x), expected)
    for key, value in network.state_dict().items():  # statistics too
        torch.testing.assert_close(head.state_dict()[key], value)


def test_names_of_the_defaults():
    assert list(ProjectionHead(6).state_dict()) == [
        '0.weight', '1.weight', '1.bias', '1.running_mean', '1.running_var',
        '1.num_batches_tracked', '3.weight', '3.bias']  # fmt: skip


def test_no_bias_at_all():
    head = ProjectionHead(6, bias=False)
    names = [name for name, _ in head.named_parameters()]
    assert names == ['0.weight', '1.weight', '1.bias', '3.weight']


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_layers=0), 'num_layers >= 1'),
        (dict(activation='Tanh'), r"\['GELU', 'ReLU'\], got 'Tanh'"),
        (dict(dropout=(0.1, 0.1, 0.1)), '3 rates for num_layers=2'),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ProjectionHead(4, **kwargs)


def test_dropout_stands_behind_each_linear_layer():
    """All-one outputs become 0, or 1 / (1 - rate), at OSS's rates."""
    head = ProjectionHead(4, 2000, 2000, batch_norm=False, dropout=(0.1, 0.05))
    for layer in (head[0], head[2]):
        nn.init.zeros_(layer.weight)
        nn.init.ones_(layer.bias)
    seen = []
    head[1].register_forward_pre_hook(lambda _, x: seen.append(x[0].clone()))
    seen.append(head(torch.randn(1, 4)))
    for value, rate in zip(seen, (0.1, 0.05), strict=True):
        kept = value != 0
        assert torch.all(value[kept] == 1 / (1 - rate))
        assert abs(1 - kept.float().mean().item() - rate) < 0.02


def test_with_and_without_dropout_share_weights():
    plain = ProjectionHead(6, 8, 5, normalize=True)
    head = ProjectionHead(6, 8, 5, normalize=True, dropout=0.3)
    assert list(head.state_dict()) == list(plain.state_dict())
    head.load_state_dict(plain.state_dict())
    x = torch.randn(9, 6)

    random = torch.get_rng_state()
    without = head(x, dropout=False)
    assert torch.equal(torch.get_rng_state(), random)
    torch.testing.assert_close(without, plain(x))
    with_dropout = head(x)
    assert not torch.allclose(with_dropout, without)
    assert not torch.allclose(with_dropout, head(x))

    down = torch.randn(9, 5)
    gradients = [
        torch.autograd.grad(out, head.parameters(), down, retain_graph=True)
        for out in (without, with_dropout, without + with_dropout)
    ]
    for one, other, both in zip(*gradients, strict=True):
        torch.testing.assert_close(one + other, both)

    plain.load_state_dict(head.state_dict())
    torch.testing.assert_close(head.eval()(x), plain.eval()(x))


def test_embedding_is_float32_under_autocast():
    head = ProjectionHead(6, normalize=True)
    with torch.autocast('cpu', torch.bfloat16):
        embedding = head(torch.randn(5, 6))
    assert embedding.dtype == torch.float32
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(5))


def test_normalizing_zeros():
    x = torch.zeros(2, 3, requires_grad=True)
    l2_normalize(x).sum().backward()
    assert x.grad.isfinite().all()
    assert torch.equal(l2_normalize(x), x)
