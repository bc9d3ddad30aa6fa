"""Which layers of a network give maps is found by running it."""

import pytest
import timm
import torch
from torch import nn

from mmdistill.models.network_maps import (
    MapLayer,
    find_map_layers,
    named_map_layers,
    read_maps,
)

#: Network, side of its images, and its maps: layer, channels and side.
NETWORKS = {
    'resnet18': (64, [('act1', 64, 32), ('layer1', 64, 16),
                      ('layer2', 128, 8), ('layer3', 256, 4),
                      ('layer4', 512, 2)]),
    'mobilenetv3_small_050': (64, [('bn1', 16, 32), ('blocks.0', 8, 16),
                                   ('blocks.1', 16, 8), ('blocks.3', 24, 4),
                                   ('blocks.5', 288, 2)]),
    'convnext_atto': (64, [('stages.0', 40, 16), ('stages.1', 80, 8),
                           ('stages.2', 160, 4), ('norm_pre', 320, 2)]),
    'swin_tiny_patch4_window7_224': (224, [
        ('layers.0', 96, 56), ('layers.1', 192, 28), ('layers.2', 384, 14),
        ('norm', 768, 7)]),
}  # fmt: skip


def network(name, **kwargs):
    return timm.create_model(name, **kwargs).eval()


@pytest.mark.parametrize('name', NETWORKS)
def test_the_last_layer_of_each_resolution(name):
    side, expected = NETWORKS[name]
    net, images = network(name), torch.randn(2, 3, side, side)
    layers = find_map_layers(net, images)
    output, maps = read_maps(net, layers, images)
    got = [(x.name, *m.shape[1:3]) for x, m in zip(layers, maps, strict=True)]
    assert got == expected
    assert all(m.shape[2] == m.shape[3] for m in maps)
    torch.testing.assert_close(output, net(images))


def test_maps_are_the_librarys_own():
    """Against timm's feature extraction: channels first, no class token."""
    for name, side in (
        ('swin_tiny_patch4_window7_224', 224),
        ('vit_tiny_patch16_224', 224),
        ('deit_tiny_distilled_patch16_224', 224),
    ):
        net, images = network(name), torch.randn(2, 3, side, side)
        _, maps = read_maps(net, find_map_layers(net, images), images)
        theirs = net.forward_intermediates(images, intermediates_only=True)
        assert len(maps) == len(theirs)
        if name.startswith('swin'):  # our last one is behind its norm
            maps, theirs = maps[:-1], theirs[:-1]
        for ours, other in zip(maps, theirs, strict=True):
            torch.testing.assert_close(ours, other)


@pytest.mark.parametrize(
    'name, side, blocks, extra',
    [
        ('vit_tiny_patch16_224', 224, 12, 1),
        ('deit_tiny_distilled_patch16_224', 224, 12, 2),
        ('mixer_s32_224', 224, 8, 0),
        ('convmixer_768_32', 56, 32, 0),
    ],
)
def test_every_block_of_a_network_of_one_resolution(name, side, blocks, extra):
    net = network(name)
    layers = find_map_layers(net, torch.randn(2, 3, side, side))
    assert [x.name for x in layers] == [f'blocks.{i}' for i in range(blocks)]
    assert {x.extra for x in layers} == {extra}


def test_images_that_are_no_squares():
    net = network('resnet18')
    images = torch.randn(2, 3, 64, 96)
    _, maps = read_maps(net, find_map_layers(net, images), images)
    assert [m.shape[2:] for m in maps][-2:] == [(4, 6), (2, 3)]
    tokens = MapLayer('blocks.0', 'tokens', 1).read(
        torch.randn(2, 25, 8), images.shape
    )
    assert tokens.shape == (2, 8, 4, 6)


def test_layers_by_name():
    net, images = network('resnet18'), torch.randn(2, 3, 64, 64)
    layers = named_map_layers(net, images, ['layer2', 'layer1.0'])
    assert [x.name for x in layers] == ['layer2', 'layer1.0']
    with pytest.raises(ValueError, match=r"\['layer9'\] are no layers.*maps"):
        named_map_layers(net, images, ['layer9'])


def test_attention_is_no_map():
    """Its scores have the shape of maps."""

    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 8, 8)
            self.score = nn.Softmax(dim=-1)
            self.fc = nn.Linear(8, 2)

        def forward(self, images):
            tokens = self.embed(images).flatten(2).transpose(1, 2)
            scores = self.score((tokens @ tokens.mT)[:, None])
            return self.fc((scores[:, 0] @ tokens).mean(dim=1))

    layers = find_map_layers(Attending(), torch.randn(2, 3, 32, 32))
    assert [x.name for x in layers] == ['embed']
