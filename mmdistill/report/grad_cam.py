"""Grad-CAM: which parts of an image speak for a class."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from torch import Tensor, nn


def last_map_layer(model: nn.Module, image: Tensor) -> nn.Module | None:
    """The layer of a network that gives its last map.

    Args:
        model: a classifier.
        image: (1, C, H, W).
    Returns:
        the layer, or None where the network works on tokens or gives no map
        larger than one pixel.
    """
    called: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, args: tuple, output: object) -> None:
        if isinstance(output, Tensor):
            called.append((module, output))

    inside = getattr(model, 'backbone', model)
    handles = [m.register_forward_hook(note) for m in inside.modules()]
    try:
        with torch.no_grad():
            model(image, mode='tensor')
    finally:
        for handle in handles:
            handle.remove()
    found = None
    for module, output in called:
        if output.ndim == 4 and min(output.shape[-2:]) > 1:
            found = module
        elif output.ndim == 3 and output.shape[1] > 1:
            found = None  # tokens, after the patches of the image
    return found


def grad_cam(model: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    """Grad-CAM of a classifier for a class of each image.

    Paper: Selvaraju et al., Grad-CAM, ICCV 2017,
    https://arxiv.org/abs/1610.02391; by captum.

    Shape:
        images: (N, C, H, W); labels: (N,); returns (N, H, W), each from 0 to
        1, where 1 is the largest value of the image.
    Raises:
        ValueError: if the network has no map.
        ImportError: if captum is not installed.
    """
    from captum.attr import LayerGradCam

    layer = last_map_layer(model, images[:1])
    if layer is None:
        raise ValueError(
            'it works on tokens, or on no map larger than one pixel, of which '
            'Grad-CAM is none'
        )
    # A frozen network has no gradient unless the images ask for one.
    images = images.detach().clone().requires_grad_(True)
    cam = LayerGradCam(lambda x: model(x, mode='tensor'), layer)
    found = cam.attribute(images, labels, relu_attributions=True).detach()
    found = F.interpolate(found, images.shape[-2:], mode='bilinear')[:, 0]
    largest = found.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return (found / largest).cpu().numpy()


def overlaid(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A picture with the heat over it.

    Shape:
        image: (h, w, 3) uint8; heat: (H, W), 0 to 1; returns as the image.
    """
    heat = F.interpolate(
        torch.from_numpy(heat)[None, None].float(),
        image.shape[:2],
        mode='bilinear',
    )[0, 0].numpy()
    colors = 255 * colormaps['inferno'](heat)[..., :3]
    return (0.5 * image + 0.5 * colors).round().astype(np.uint8)
