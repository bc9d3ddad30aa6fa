"""What ONNX and torch.export share: tracing, checks, any number of images."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mmdistill.checkpoints import replacing
from mmdistill.export.deployed import (
    Deployed,
    prepared_as,
    require_equal,
)
from mmdistill.export.formats import ExportFormat, ExportOptions
from mmdistill.export.students import Student
from mmdistill.utils.pipelines import sees_bgr

_COUNTS = (1, 3)  # images in the batches that are compared; traced are 2


class GraphFormat(ExportFormat):
    """A student's graph: from images to logits, or features without a head."""

    takes = ('input_size', 'with_preprocessing')

    @abstractmethod
    def translate(
        self, deployed: Deployed, images: Tensor, options: ExportOptions
    ) -> bytes:
        """The file that is written, which answers as the student does.

        Args:
            deployed: in eval mode.
            images: (2, C, H, W) to trace with.
            options: what the user said.
        Raises:
            ModuleNotFoundError: if a package is missing.
            ExportError: if the student cannot be translated, or the file
                answers otherwise.
        """

    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        height, width = size = options.size_for(student)
        inside = options.with_preprocessing
        deployed = Deployed(
            student.model, inside, sees_bgr(student.cfg)
        ).eval()
        images = student.images(size)
        if inside:
            images = (128 + 64 * images).clamp(0, 255)
        file = self.translate(deployed, images, options)
        with replacing(path) as stream:
            stream.write(file)
        said = prepared_as(student)
        if inside:
            order = 'gray' if student.channels == 1 else 'RGB'
            said = f'images are {order}, 0 to 255; inside, {said}'
        answers = (
            'logits, without softmax' if deployed.classifies else 'features'
        )
        return (
            f'from images (N, {student.channels}, {height}, {width}) to '
            f'{answers}; {said}'
        )

    @staticmethod
    @torch.no_grad()
    def compare(
        answer: Callable[[Tensor], Tensor],
        deployed: Deployed,
        images: Tensor,
        bound: float,
        what: str,
    ) -> None:
        """Refuse an answer that is not the student's, of 1 and 3 images."""
        for count in _COUNTS:
            batch = images[:1].repeat(count, 1, 1, 1)
            batch[-1] = images[1]
            require_equal(answer(batch), deployed(batch), bound, what)


def any_batch() -> dict:
    """The shapes that torch should not fix: how many images there are."""
    return dict(images={0: torch.export.Dim('batch')})


@contextmanager
def quietly() -> Iterator[None]:
    """Without torch's warnings about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
