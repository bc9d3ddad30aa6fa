"""The published encoders."""

import pytest
import torch
import torchvision

from mmdistill.models.encoders import ENCODER_ZOO
from mmdistill.registry import MODELS


def linear(inputs, outputs):
    return inputs * outputs + outputs


TWO_LAYERS = linear(2048, 2048) + linear(2048, 128)

DINO_LAYERS = linear(2048, 2048) + linear(2048, 256)

DEIT_SMALL = (
    (224 // 16) ** 2 * 384 + 384  # positions, with the class token's
    + 384  # the class token
    + linear(3 * 16 * 16, 384)
    + 12 * (
        2 * 2 * 384  # LayerNorms
        + linear(384, 3 * 384) + linear(384, 384)
        + linear(384, 4 * 384) + linear(4 * 384, 384)
    )
    + 2 * 384
)  # fmt: skip

PUBLISHED = {
    'mocov2_resnet50': (2048, TWO_LAYERS, 128, None),
    'swav_resnet50': (2048, TWO_LAYERS + 2 * 2048, 128, 3000),
    'dino_resnet50': (
        2048,
        linear(2048, 4096) + 2 * 4096 + linear(4096, 256),
        256,
        60000,
    ),
    'dino_deit_small': (384, linear(384, 2048) + DINO_LAYERS, 256, 65536),
}


@pytest.mark.parametrize('name', ENCODER_ZOO)
def test_published_encoders(name):
    width, head, dim, prototypes = PUBLISHED[name]
    encoder = MODELS.build(ENCODER_ZOO[name]()).eval()

    def count(part):
        return sum(p.numel() for p in part.parameters())

    if 'resnet' in name:
        resnet = torchvision.models.resnet50()
        backbone = count(resnet) - count(resnet.fc)
    else:
        backbone = DEIT_SMALL
    assert count(encoder.backbone) == backbone
    assert count(encoder.head) == head
    if prototypes is None:
        assert encoder.prototypes is None
    else:
        lengths = encoder.prototypes.scale is not None
        assert count(encoder.prototypes) == prototypes * (dim + lengths)
    with torch.no_grad():
        got = encoder(torch.rand(1, 3, 64, 64))
    assert got.feature.shape == (1, width)
    assert got.embedding.shape == (1, dim)
    torch.testing.assert_close(got.embedding.norm(), torch.tensor(1.0))
    if prototypes is not None:
        assert got.logits.shape == (1, prototypes)
