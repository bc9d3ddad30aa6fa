"""Grad-CAM by its formula, and networks that have none."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import tiny_classifier
from transfer import vit

from mmdistill.registry import MODELS
from mmdistill.report.grad_cam import grad_cam, last_map_layer, overlaid


def test_the_formula():
    """Of mean pooling and a linear layer, weights are that layer's row."""
    model = MODELS.build(tiny_classifier()).eval().requires_grad_(False)
    images, labels = torch.randn(3, 1, 16, 16), torch.tensor([1, 5, 7])
    (last,) = model.backbone(images)[-1:]
    weight = model.head.fc.weight[labels]
    expected = torch.einsum('nc,nchw->nhw', weight, last).relu()
    expected = F.interpolate(expected[:, None], (16, 16), mode='bilinear')
    expected = expected[:, 0] / expected.amax((1, 2, 3))[:, None, None]
    found = grad_cam(model, images, labels)
    np.testing.assert_allclose(found, expected.nan_to_num(), atol=1e-5)


def test_a_network_of_tokens_has_none():
    model = MODELS.build(vit()).eval()
    image = torch.zeros(1, 1, 8, 8)
    assert last_map_layer(model, image) is None
    with pytest.raises(ValueError, match='works on tokens'):
        grad_cam(model, image, torch.tensor([0]))


def test_the_layer_is_the_last_stage():
    model = MODELS.build(tiny_classifier()).eval()
    layer = last_map_layer(model, torch.zeros(1, 1, 16, 16))
    assert layer in set(model.backbone.modules())
    with torch.no_grad():
        seen = []
        handle = layer.register_forward_hook(lambda *a: seen.append(a[2]))
        (last,) = model.backbone(torch.ones(1, 1, 16, 16))[-1:]
        handle.remove()
    assert seen[0].shape == last.shape


def test_heat_over_a_picture():
    image = np.full((6, 4, 3), 100, np.uint8)
    heat = np.zeros((3, 2))
    dark = overlaid(image, heat)
    assert dark.shape == image.shape and dark.dtype == np.uint8
    assert (dark <= 55).all()
    heat[0] = 1
    found = overlaid(image, heat)
    assert found[0].mean() > found[-1].mean()
