"""The student's images, as a teacher of another library wants them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from mmdistill.models.zoo import ModelInfo

_INTERPOLATIONS = {mode.value: mode for mode in InterpolationMode}
# Means are written with two digits or three; of 0 to 255 that is nothing.
_SAME = 0.1


class AdaptedImages(nn.Module):
    """Turns images that are ready for the student into a teacher's.

    They are brought back to 0 to 255, resized, and normalized anew. So a
    teacher sees whatever was drawn for the student on the device: crops,
    flips, mixed images. Gray images get as many channels as it has. A teacher
    that was trained on BGR gets BGR: that a preprocessor turns the channels
    round says that images come from files, as OpenCV reads them.

    Args:
        info: what the teacher wants.
        student: the student's preprocessor, which has ``mean`` and ``std``
            unless it does not normalize.
    Shape:
        (N, C, H, W); returns (N, C', H', W') with the teacher's size.
    """

    def __init__(self, info: ModelInfo, student: nn.Module) -> None:
        super().__init__()
        self.size = info.size
        # torch has no lanczos; bicubic comes nearest
        self.interpolation = _INTERPOLATIONS.get(
            info.interpolation, InterpolationMode.BICUBIC
        )
        turned = getattr(student, 'to_rgb', False)
        #: Whether the two were trained on channels in opposite orders.
        self.flips = info.is_bgr if turned else info.to_rgb
        mean = getattr(student, 'mean', None)
        std = getattr(student, 'std', None)
        own_mean = torch.tensor(info.mean, dtype=torch.float32)[:, None, None]
        own_std = torch.tensor(info.std, dtype=torch.float32)[:, None, None]
        zero = torch.zeros(1, 1, 1)
        self._keep('mean', zero if mean is None else mean.float())
        self._keep('std', zero + 1 if std is None else std.float())
        # asked for now, since to ask a device is to wait for it
        self._is_alike = (
            not self.flips
            and self.mean.shape == own_mean.shape
            and torch.allclose(self.mean, own_mean, atol=_SAME)
            and torch.allclose(self.std, own_std, atol=_SAME)
        )
        self._keep('own_mean', own_mean)
        self._keep('own_std', own_std)

    def _keep(self, name: str, value: Tensor) -> None:
        """A tensor that follows the device and is in no checkpoint."""
        self.register_buffer(name, value.clone(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """A batch; without resizing where it has the size already."""
        has_size = images.shape[-2:] == self.size
        if has_size and self._is_alike:
            return images
        images = images * self.std + self.mean
        if self.flips and images.shape[1] == 3:
            images = images.flip(1)
        channels = len(self.own_mean)
        if images.shape[1] == 1 != channels:
            images = images.expand(-1, channels, -1, -1)
        if not has_size:
            images = resize(
                images, list(self.size), self.interpolation, antialias=True
            ).clamp(0, 255)
        return (images - self.own_mean) / self.own_std
