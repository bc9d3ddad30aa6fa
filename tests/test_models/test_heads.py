import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmdistill.models.heads import (
    FeatureClassifier,
    ProjectionHead,
    PrototypeHead,
)
from mmdistill.ops import l2_normalize, reverse_gradient


# ProjectionHead -------------------------------------------------------------
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


# PrototypeHead --------------------------------------------------------------
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


# FeatureClassifier ----------------------------------------------------------
@pytest.mark.parametrize('autocast', [False, True])
def test_reversed_gradient(autocast):
    x = torch.randn(4, 3, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        y = reverse_gradient(x * 1, alpha=0.5)
        assert torch.equal(y, x)
        y = F.linear(y, torch.eye(3))
    down = torch.randn(4, 3).bfloat16().to(y.dtype)
    y.backward(down)
    torch.testing.assert_close(x.grad, -0.5 * down.float())


def test_feature_classifier_learns_and_hides():
    classifier = FeatureClassifier(6, 8, alpha=2.0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    plain.load_state_dict(classifier.state_dict())
    label = torch.tensor([0, 1, 1, 0])
    x = torch.randn(4, 6)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    for network, leaf in zip((classifier, plain), inputs, strict=True):
        F.cross_entropy(network(leaf), label).backward()
    torch.testing.assert_close(inputs[0].grad, -2 * inputs[1].grad)
    for ours, theirs in zip(
        classifier.parameters(), plain.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad)
