"""What the zoo asks of a library of networks."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor, nn

Made = TypeVar('Made')

#: What stands before the slash of a name.
LIBRARY_NAMES = ('timm', 'torchvision', 'mmpretrain', 'cifar', 'hf')
#: Mean and standard deviation of ImageNet's pixels, of 0 to 255, RGB.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class ModelInfo:
    """What a network wants of its images, and what it knows.

    Attributes:
        size: (height, width) of the images.
        mean, std: of the pixels, 0 to 255, in RGB.
        interpolation: how its images are resized, as mmcv calls it.
        crop: the part of a resized image's side that is cropped for tests.
        num_classes: how many classes the published weights have; 0 if they
            have no classifier, None if nothing is published.
        classes: their names, if the library knows them.
        is_fixed: whether it takes no other size, once built for one.
        to_rgb: whether its own run turned BGR images of files into RGB.
        is_bgr: whether it was trained on BGR; ``mean`` is in that order then.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: str = 'bicubic'
    crop: float = 0.875
    num_classes: int | None = None
    classes: tuple[str, ...] | None = field(default=None, repr=False)
    is_fixed: bool = False
    to_rgb: bool = False
    is_bgr: bool = False


class ModelNameError(ValueError):
    """A name that no library has, or a network that it cannot build so."""


class WeightsError(RuntimeError):
    """Published weights that could not be had; where to put their file."""


class Library(ABC):
    """Networks by name, of one library.

    Attributes:
        name: what stands before the slash.
        package: what has to be installed besides mmdistill, or None.
        publishes: whether there are published weights at all.
    """

    name: str
    package: str | None = None
    publishes: bool = True

    @abstractmethod
    def names(self) -> list[str]:
        """Names of all networks, without the library's."""

    @abstractmethod
    def info(self, name: str) -> ModelInfo:
        """What is known of a network without building it."""

    def check(self, name: str) -> None:
        """Raise ModelNameError for a network that there is not."""
        known = self.names()
        if name not in known:
            raise ModelNameError(self._unknown(name, known))

    def _unknown(self, name: str, known: Sequence[str]) -> str:
        near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
        hint = ''
        if near:
            names = ' or '.join(f"'{self.name}/{other}'" for other in near)
            hint = f'; did you mean {names}?'
        return (
            f'{self.name} has no model {name!r}{hint} '
            f'(`mmdistill list models {self.name}/*` shows all)'
        )


class ConfigLibrary(Library):
    """A library whose networks are configs of MMPretrain's classifiers."""

    @abstractmethod
    def config(
        self, name: str, num_classes: int | None, pretrained: bool
    ) -> dict:
        """The config of a classifier; without a head for 0 classes."""


class NetworkLibrary(Library):
    """A library that builds networks of classes of its own."""

    @abstractmethod
    def build(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> nn.Module:
        """A network with random weights.

        Args:
            name: of the network.
            num_classes: 0 for none; None for the library's number.
            in_channels: of its images.
            size: of its images, if not those of `info`.
            options: of the library's own builder.
        """

    @abstractmethod
    def published(
        self,
        name: str,
        num_classes: int | None = None,
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        """The published weights, by the library's names.

        Args: as of `build`. A classifier for other classes may be among them.
        Raises:
            WeightsError: if they could not be had; where to put their file.
        """

    def translate(
        self, state: dict[str, Tensor], network: nn.Module
    ) -> dict[str, Tensor]:
        """A file's weights by the names of the library's present version."""
        return state


def sized(
    make: Callable[..., Made],
    key: str,
    size: tuple[int, int] | None,
    **options: Any,
) -> Made:
    """Call a builder with an image size, without if it knows none.

    Args:
        make: takes the options, and perhaps ``key``.
        key: what it calls the size.
        size: (height, width), or None.
        options: further ones.
    """
    if size is None or key in options:
        return make(**options)
    try:
        value = size[0] if size[0] == size[1] else size
        return make(**{key: value}, **options)
    except TypeError as error:
        if key not in str(error):
            raise
        return make(**options)


def first_line(error: Exception) -> str:
    """What an error of another library says, shortly."""
    text = str(error).strip().split('\n')[0][:200]
    return f'{type(error).__name__}: {text}'
