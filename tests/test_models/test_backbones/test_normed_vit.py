"""Features of several blocks of a ViT, as DINO evaluates them."""

import pytest
import torch
from reference_encoders import DINO, VisionTransformer

from mmdistill.models.encoders.layouts import from_authors
from mmdistill.registry import MODELS

ARCH = dict(embed_dims=48, num_layers=5, num_heads=3, feedforward_channels=192)
SIZE = dict(arch=ARCH, img_size=32, patch_size=16)


def reference(depth=5):
    """The authors' network, whose LayerNorms change something."""
    network = VisionTransformer(dim=48, depth=depth, heads=3, image=32)
    for layer in network.modules():
        if isinstance(layer, torch.nn.LayerNorm):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias)
    return network.eval()


def last_blocks(network, images, n):
    """DINO's ``get_intermediate_layers``: each through the last norm."""
    x = network.patch_embed(images)
    x = torch.cat([network.cls_token.expand(len(x), -1, -1), x], dim=1)
    x = x + network.pos_embed
    outputs = []
    for block in network.blocks:
        x = block(x)
        outputs.append(network.norm(x))
    return outputs[-n:]


def ours(network, **kwargs):
    """The same weights in MMPretrain's classes, all of them."""
    model = MODELS.build(
        dict(type='NormedVisionTransformer', **SIZE, **kwargs)
    )
    file = dict(teacher=DINO(network, prototypes=3, hidden=4, dim=2)
                .state_dict())  # fmt: skip
    state = {
        key.removeprefix('backbone.'): value
        for key, value in from_authors(file, 'a file')[1].items()
        if key.startswith('backbone.')
    }
    model.load_state_dict(state)
    model.eval()  # returns nothing
    return model


@pytest.mark.parametrize('n, mean_patch', [(4, False), (1, True)])
def test_joined_tokens_are_the_authors(n, mean_patch):
    """Of ViT-S the last four class tokens, of ViT-B the mean patch, too."""
    torch.manual_seed(0)
    network, images = reference(), torch.rand(2, 3, 32, 32)
    model = ours(network, out_indices=range(5 - n, 5), out_type='raw')
    neck = MODELS.build(dict(type='ClassTokensNeck', mean_patch=mean_patch))
    with torch.no_grad():
        (found,) = neck(model(images))
        outputs = last_blocks(network, images, n)
    expected = [x[:, 0] for x in outputs]
    if mean_patch:
        expected.append(outputs[-1][:, 1:].mean(dim=1))
    torch.testing.assert_close(
        found, torch.cat(expected, dim=1), rtol=1e-4, atol=1e-5
    )
    assert found.shape == (2, 48 * (n + mean_patch))


def test_the_last_block_is_normalized_once():
    torch.manual_seed(0)
    network, images = reference(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        (found,) = ours(network)(images)
        torch.testing.assert_close(
            found, network(images), rtol=1e-4, atol=1e-5
        )


def test_what_cannot_be_normalized_or_joined():
    with pytest.raises(ValueError, match='final_norm=False leaves out'):
        MODELS.build(
            dict(type='NormedVisionTransformer', final_norm=False, **SIZE)
        )
    neck = MODELS.build(dict(type='ClassTokensNeck'))
    with pytest.raises(ValueError, match=r"\(2, 48\).*out_type='raw'"):
        neck((torch.zeros(2, 48),))
