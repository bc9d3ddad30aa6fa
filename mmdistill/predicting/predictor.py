"""A student that answers for pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from PIL import Image
from torch import Tensor, nn

from mmdistill.checkpoints import classes_of
from mmdistill.export import ExportError, Student, load_student
from mmdistill.export.deployed import prepared_as
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.dense.fcn import FCN
from mmdistill.models.representation import RepresentationReader
from mmdistill.ops import l2_normalize
from mmdistill.predicting.image_reader import ImageReader
from mmdistill.predicting.plain_answers import DESCRIBE
from mmdistill.utils import register_all_modules


def load(
    path: str | os.PathLike,
    device: str | torch.device = 'cpu',
    config: str | os.PathLike | None = None,
) -> Predictor:
    """A student that answers for pictures, of its file alone.

    Args:
        path: ``student.pth``, ``student_best.pth``, or a full checkpoint of a
            plain or distilled run: of a classifier, an encoder, a detector or
            a segmentor.
        device: where it runs.
        config: config file of its training, for a file that does not say how
            its images are prepared.
    Raises:
        FileNotFoundError, CheckpointError: see `load_student`.
        ExportError: if the file does not say how images are prepared.

    Example::

        student = mmdistill.load('work_dirs/kd/student.pth')
        student('cat.jpg')[0]['name']
    """
    path = os.path.expanduser(os.fspath(path))
    # Parts find each other in our scope; the caller's comes back.
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmdistill'):
        student = load_student(path, None if config is None else str(config))
        return Predictor(student, path, device, checked=config is None)


class Predictor:
    """Answers of a student for images, as its run gave them.

    Images are read and prepared by the student's own test pipeline and
    preprocessor. Those of one size go through the network together, so that
    no answer depends on what else is asked.

    Args:
        student: read from a file.
        name: of the file, for messages.
        device: where it runs.
        checked: see `ImageReader`.
    Attributes:
        kind: 'classifier', 'encoder', 'detector' or 'segmentor'.
        classes: names by label, or None if the file does not say.
        input_size: (height, width) of its images, or None if it takes any.
        model: the network, in eval mode.
    Raises:
        ExportError: if the file does not say how images are prepared.
    """

    def __init__(
        self,
        student: Student,
        name: str = 'the student',
        device: str | torch.device = 'cpu',
        checked: bool = True,
    ) -> None:
        if not student.knows_preprocessing:
            raise ExportError(
                f'{name} cannot be asked about images: {prepared_as(student)}'
            )
        self.kind = _kind(student.model)
        self.classes = classes_of(student.checkpoint['meta'])
        self.input_size = student.input_size
        self.name = name
        self._read = ImageReader(student, name, checked)
        self.model = student.model.to(device).eval()

    def __call__(
        self, images: Any, batch_size: int = 32, skip_errors: bool = False
    ) -> list[dict]:
        """What the student says of images.

        Args:
            images: one image, or a list or an iterator of images: paths, PIL
                images, arrays (H, W, 3) in RGB or (H, W) of uint8, tensors
                (3, H, W) of uint8.
            batch_size: images that go through the network at once.
            skip_errors: answer ``dict(error=...)`` for an image that cannot
                be read.
        Returns:
            a dict an image. Of a classifier: ``label``, ``name`` (None if
            unknown), ``score``, ``scores`` (K,). Of an encoder: ``feature``
            (D,). Of a detector: ``boxes`` (n, 4) as x1, y1, x2, y2 in pixels
            of the image, ``labels`` (n,), ``names``, ``scores`` (n,), and
            ``masks`` (n, H, W) of bool if it gives any. Of a segmentor:
            ``classes`` (H, W).
        Raises:
            FileNotFoundError, UnreadableFile: for a file that is missing or
                broken; it is named.
            TypeError, ValueError: for what is no image.
        """
        return list(self.stream(images, batch_size, skip_errors))

    def embed(
        self, images: Any, batch_size: int = 32, normalize: bool = False
    ) -> np.ndarray:
        """Features of images, (N, D) float32: what the last layer sees.

        Args:
            images, batch_size: as of a call.
            normalize: to length 1.
        Raises:
            ValueError: if the student has no feature, as detectors; and as
                of a call.
        """
        rows = list(self.stream_features(images, batch_size, normalize))
        if not rows:
            raise ValueError('embed() got no image')
        return np.stack([row['feature'] for row in rows])

    def stream(
        self, images: Any, batch_size: int = 32, skip_errors: bool = False
    ) -> Iterator[dict]:
        """As a call, one by one, so that images need not fit into memory."""
        answer = self._answers
        if self.kind == 'encoder':
            answer = self._features(False)
        return self._run(answer, images, batch_size, skip_errors)

    def stream_features(
        self,
        images: Any,
        batch_size: int = 32,
        normalize: bool = False,
        skip_errors: bool = False,
    ) -> Iterator[dict]:
        """``dict(feature=(D,))`` an image, one by one; see `embed`."""
        if isinstance(self.model, DenseModel):
            raise ValueError(
                f'{self.name} holds a {type(self.model).__name__}, which '
                'gives no feature of a whole image; take the student that '
                'its backbone started from'
            )
        answer = self._features(normalize)
        return self._run(answer, images, batch_size, skip_errors)

    def _run(
        self,
        answer: Callable[[Tensor], list[dict]],
        images: Any,
        batch_size: int,
        skip_errors: bool,
    ) -> Iterator[dict]:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(
                f'batch_size is a number of images, got {batch_size!r}'
            )
        numbered = enumerate(_several(images))
        while chunk := list(islice(numbered, batch_size)):
            answers: dict[int, dict] = {}
            groups: dict[tuple, dict[int, Tensor]] = {}
            for number, image in chunk:
                try:
                    inputs = self._prepared(number, image)
                except (OSError, TypeError, ValueError) as error:
                    if not skip_errors:
                        raise
                    answers[number] = dict(error=str(error))
                else:
                    groups.setdefault(inputs.shape, {})[number] = inputs
            for group in groups.values():
                found = self._through(answer, list(group.values()))
                answers.update(zip(group, found, strict=True))
            yield from (answers[number] for number, _ in chunk)

    def _prepared(self, number: int, image: object) -> Tensor:
        try:
            return self._read(image)
        except Exception as error:
            if isinstance(image, (str, os.PathLike)):
                raise  # it names the file
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f'image {number}: {error}') from error

    @torch.no_grad()
    def _through(
        self, answer: Callable[[Any], list[dict]], inputs: list[Tensor]
    ) -> list[dict]:
        batch = inputs
        if not isinstance(self.model, DenseModel):
            batch = torch.stack(inputs)
        data = self.model.data_preprocessor(dict(inputs=batch), False)
        return answer(data['inputs'])

    def _answers(self, inputs: Any) -> list[dict]:
        describe = DESCRIBE[self.kind]
        samples = self.model(inputs, mode='predict')
        return [describe(sample, self.classes) for sample in samples]

    def _features(self, normalize: bool) -> Callable[[Tensor], list[dict]]:
        read = RepresentationReader(self.model)

        def answer(inputs: Tensor) -> list[dict]:
            features = read(inputs).feature
            if features is None:
                raise ValueError(
                    f'the {type(self.model).__name__} in {self.name} gives '
                    'no feature (N, D): its neck has to pool the maps, as '
                    "neck=dict(type='GlobalAveragePooling') does"
                )
            if normalize:
                features = l2_normalize(features)
            return [dict(feature=x) for x in features.float().cpu().numpy()]

        return answer


def _kind(model: nn.Module) -> str:
    if isinstance(model, DenseModel):
        return 'segmentor' if isinstance(model, FCN) else 'detector'
    classifies = isinstance(model, ImageClassifier) and model.with_head
    return 'classifier' if classifies else 'encoder'


def _several(images: Any) -> Iterable:
    """What was given as many images, also where it is one."""
    one = isinstance(images, (str, os.PathLike, Image.Image)) or (
        isinstance(images, (np.ndarray, Tensor)) and images.ndim <= 3
    )
    if not one and not isinstance(images, Iterable):
        raise TypeError(
            f'images are one image, or a list of images; got {images!r}, '
            f'a {type(images).__name__}'
        )
    return [images] if one else images
