"""The classifier of a network is found by its derivative, and taken off."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from mmdistill.models.last_linear import (
    ClassifierError,
    joined_state,
    pooled,
    take_off_classifier,
)


def test_a_network_without_its_classifier_gives_the_feature():
    net = torchvision.models.resnet18(num_classes=5).eval()
    whole = net.state_dict()
    images = torch.randn(2, 3, 64, 64)
    expected = net(images)
    linear, shares = take_off_classifier(net, images[:1])
    assert shares == {'fc': 1.0} and isinstance(net.fc, nn.Identity)
    torch.testing.assert_close(
        linear(pooled(net(images), images.shape)), expected
    )
    state = dict(whole)
    found = joined_state(state, shares)
    assert found.keys() == {'weight', 'bias'} and 'fc.weight' not in state


@pytest.mark.parametrize(
    'name, heads',
    [
        ('deit_tiny_distilled_patch16_224', ['head', 'head_dist']),
        ('levit_128s', ['head.linear', 'head_dist.linear']),
    ],
)
def test_two_classifiers_become_one(name, heads):
    net = timm.create_model(name, num_classes=7).eval()
    for head in heads:  # they begin at zero, or nearly
        nn.init.normal_(net.get_submodule(head).weight)
        nn.init.normal_(net.get_submodule(head).bias)
    whole = dict(net.state_dict())
    images = torch.randn(3, 3, 224, 224)
    expected = net(images)
    linear, shares = take_off_classifier(net, images[:1])
    assert shares == dict.fromkeys(heads, 0.5)
    feature = pooled(net(images), images.shape)
    assert feature.shape == (3, linear.in_features)
    torch.testing.assert_close(linear(feature), expected, atol=1e-4, rtol=1e-4)
    again = nn.Linear(linear.in_features, 7)
    again.load_state_dict(joined_state(whole, shares))
    torch.testing.assert_close(again.weight, linear.weight)
    torch.testing.assert_close(again.bias, linear.bias)


def test_a_convolution_of_a_pooled_map_is_a_linear_layer():
    net = timm.create_model('dla46_c', num_classes=3).eval()
    whole = dict(net.state_dict())
    images = torch.randn(2, 3, 64, 64)
    expected = net(images)
    linear, shares = take_off_classifier(net, images[:1])
    assert shares == {'fc': 1.0} and isinstance(linear, nn.Linear)
    torch.testing.assert_close(
        linear(pooled(net(images), images.shape)), expected
    )
    linear.load_state_dict(joined_state(whole, shares))


def test_a_network_whose_scores_no_linear_layer_gives_stays():
    net = timm.create_model('volo_d1_224').eval()
    before = {k: id(m) for k, m in net.named_modules()}
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = net(images)
        assert take_off_classifier(net, images) is None
        torch.testing.assert_close(net(images), expected)
    assert {k: id(m) for k, m in net.named_modules()} == before


def test_nothing_is_drawn_and_no_mode_is_changed():
    net = timm.create_model('resnet18', drop_rate=0.5).train()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    take_off_classifier(
        net, torch.randn(1, 3, 64, 64, generator=torch.Generator())
    )
    assert torch.rand(1) == expected
    assert net.training and net.bn1.training
    assert net.bn1.num_batches_tracked == 0


def test_a_classifier_by_name():
    net = timm.create_model('resnet18', num_classes=512).eval()
    with pytest.raises(ClassifierError, match=r"\['conv1'\] are no linear"):
        take_off_classifier(net, torch.randn(1, 3, 64, 64), ['conv1'])
    assert take_off_classifier(net, torch.randn(1, 3, 64, 64), ['fc'])


def test_pooled():
    x, images = torch.randn(2, 3, 4, 5), (2, 3, 32, 40)
    mean = x.mean(dim=(2, 3))
    torch.testing.assert_close(pooled(x, images), mean)
    torch.testing.assert_close(pooled(x.permute(0, 2, 3, 1), images), mean)
    tokens, images = torch.randn(2, 5, 3), (2, 3, 32, 32)
    torch.testing.assert_close(pooled((tokens, x), images), tokens[:, 0])
    patches = torch.randn(2, 16, 3)  # without a class token
    torch.testing.assert_close(pooled(patches, images), patches.mean(dim=1))
    with pytest.raises(ClassifierError, match='returns'):
        pooled('x', images)
