import pytest
import torch
from torch import nn

from mmdistill.models import RepresentationReader
from mmdistill.registry import MODELS


def conv_net4(**kwargs):
    return MODELS.build(dict(type='ConvNet4', **kwargs))


def published(net):
    """The network as the paper has it, with the same weights."""
    layers = []
    for stage in (net.block0, net.block1, net.block2, net.block3):
        (block,) = stage
        layers += [block.conv, block.norm, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize('training', [True, False])
def test_equals_the_published_order(training):
    torch.manual_seed(0)
    net = conv_net4(in_channels=1, widths=(3, 4, 5, 6))
    net.train(training)
    images = torch.randn(5, 1, 28, 28)
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var.uniform_(0.5, 2)
        nn.init.normal_(norm.weight)  # negative ones, too
    gradients = []
    values = []
    for model in (net, published(net)):
        out = model(images)
        out = out[-1] if isinstance(out, tuple) else out
        net.zero_grad()
        out.square().sum().backward()
        values.append(out.detach())
        gradients.append([p.grad.clone() for p in net.parameters()])
    torch.testing.assert_close(*values)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_parameters_and_features_are_the_published_ones():
    net = conv_net4(in_channels=1)
    # 3x3 weights and biases, and two numbers a channel of each norm
    expected = 9 * 64 * (1 + 3 * 64) + 4 * 64 + 4 * 2 * 64
    assert sum(p.numel() for p in net.parameters()) == expected == 111936
    for size, channels, width in ((28, 1, 64), (84, 3, 1600)):
        model = MODELS.build(
            dict(
                type='ImageClassifier',
                backbone=dict(type='ConvNet4', in_channels=channels),
                neck=dict(type='FlattenNeck'),
            )
        ).eval()
        reader = RepresentationReader(model)
        images = torch.randn(2, channels, size, size)
        assert reader(images).feature.shape == (2, width)


def test_maps():
    net = conv_net4(widths=(3, 4, 5, 6), out_indices=(0, 1, 2, 3))
    net.eval()
    images = torch.randn(2, 3, 32, 32)
    shapes = [tuple(m.shape[1:]) for m in net(images)]
    assert shapes == [(3, 16, 16), (4, 8, 8), (5, 4, 4), (6, 2, 2)]
    net.pre_activation = True
    before = net(images)
    net.pre_activation = False
    first, *rest = net(images)
    assert torch.equal(before[0], first)
    for b, m in zip(before[1:], rest, strict=True):
        assert (b < 0).any() and torch.equal(b.relu(), m)


@pytest.mark.parametrize(
    'kwargs', [dict(widths=(64, 64)), dict(out_indices=(4,))]
)
def test_bad_arguments(kwargs):
    with pytest.raises(ValueError, match='four positive widths|out_indices'):
        conv_net4(**kwargs)
