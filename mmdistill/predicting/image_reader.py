"""From a picture to what a student's network is given."""

from __future__ import annotations

import os

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadAnnotations, LoadImageFromFile
from torch import Tensor
from torchvision import tv_tensors

from mmdistill.datasets.transforms import (
    LoadInstances,
    LoadRGBImage,
    LoadSemanticMap,
)
from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.export import ExportError, Student
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.zoo.config_safety import require_registered
from mmdistill.predicting.array_pictures import (
    ArrayPictures,
    as_results,
)
from mmdistill.predicting.pixels import pixels_of
from mmdistill.registry import TRANSFORMS
from mmdistill.utils.pipelines import test_pipeline

#: What a picture comes without.
_OF_ANNOTATIONS = (LoadInstances, LoadSemanticMap, LoadAnnotations)
#: Of a detector or a segmentor whose file names no pipeline.
_DENSE = [dict(type='LoadRGBImage'), dict(type='PackDenseInputs')]


class ImageReader:
    """Runs a student's own test pipeline on a picture.

    A path is read by the pipeline's own loading; an image in memory replaces
    that step alone. A student of a dataset of arrays (digits, CIFAR) has no
    such step: pictures are read by OpenCV, given the channels of its network
    and resized to the size of its images.

    Args:
        student: read from a file.
        name: of the file, for messages.
        checked: let the pipeline name what is registered alone, since its
            file is a stranger's.
    Raises:
        CheckpointError: if the pipeline names a function.
        ExportError: if neither pipeline nor image size are known.
    """

    def __init__(
        self, student: Student, name: str, checked: bool = True
    ) -> None:
        steps = test_pipeline(student.cfg)
        if steps is None and isinstance(student.model, DenseModel):
            steps = _DENSE  # the model resizes and normalizes
        if steps is None and student.input_size is None:
            raise ExportError(
                f'{name} has neither a test pipeline nor the size of its '
                'images; give the config of its training, with a '
                'test_dataloader, as config (--config)'
            )
        if checked:
            require_registered(
                _own_types(steps or []), f'the test pipeline in {name}'
            )
        built = [TRANSFORMS.build(step) for step in steps or ()]
        built = [x for x in built if not isinstance(x, _OF_ANNOTATIONS)]
        self._loads: BaseTransform | None = None
        if built and type(built[0]).__name__.startswith('Load'):
            self._loads, *built = built
        if steps is None:
            built = [TRANSFORMS.build(dict(type='PackInputs'))]
        self._steps = built
        self._arrays: ArrayPictures | None = None
        if self._loads is None:
            resizes = any('Resize' in type(x).__name__ for x in built)
            self._arrays = ArrayPictures(
                student, None if resizes else student.input_size
            )

    def __call__(self, image: object) -> Tensor:
        """The input of one image, not normalized.

        Args:
            image: a path, or what `pixels_of` takes.
        Shape:
            returns (C, H, W).
        Raises:
            FileNotFoundError: if there is no such file.
            UnreadableFile: if it is no picture, or one that the pipeline does
                not take.
            TypeError, ValueError: for anything else that is no image.
        """
        if not isinstance(image, (str, os.PathLike)):
            return self._packed(self._in_memory(image))
        path = os.path.expanduser(os.fspath(image))
        if '://' not in path and not os.path.isfile(path):
            what = 'a folder' if os.path.isdir(path) else 'no file'
            raise FileNotFoundError(
                f'the image {path!r} is {what}; the current folder is '
                f'{os.getcwd()!r}'
            )
        try:
            results = self._from_file(path)
        except Exception as error:
            if isinstance(error, OSError) and error.filename:
                raise  # such as a file that may not be read
            raise UnreadableFile(
                f'the image {path!r} is no picture, or damaged: it cannot be '
                'decoded'
            ) from error
        try:
            return self._packed(results)
        except Exception as error:
            reason = str(error).partition('\n')[0] or type(error).__name__
            raise UnreadableFile(
                f'the image {path!r} cannot be prepared ({reason})'
            ) from error

    def _from_file(self, path: str) -> dict:
        results = dict(img_path=path, img_id=path)
        if self._arrays is not None:
            return results | self._arrays.read(path)
        return self._loads(results)

    def _in_memory(self, image: object) -> dict:
        """What loading would have given of a file with these pixels."""
        loads = self._loads
        turned = not (
            isinstance(loads, LoadRGBImage)
            or getattr(loads, 'color_type', '').endswith('orientation')
        )
        pixels = pixels_of(image, turned)
        results = dict(img_path='', img_id='')
        if self._arrays is not None:
            return results | self._arrays.taken(pixels)
        if isinstance(loads, LoadRGBImage):
            return results | _as_tensor(pixels)
        if isinstance(loads, LoadImageFromFile):
            return results | _as_loaded(pixels, loads)
        raise TypeError(
            f'it is in memory, and the pipeline reads files by '
            f'{type(loads).__name__}; give the path of the image'
        )

    def _packed(self, results: dict) -> Tensor:
        for step in self._steps:
            results = step(results)
        inputs = results.get('inputs')
        if not isinstance(inputs, Tensor) or inputs.ndim != 3:
            raise ValueError(
                'the test pipeline does not end in one image (C, H, W); give '
                'a config whose test_dataloader has PackInputs last'
            )
        given = results['data_samples'].get('ori_shape')
        is_dense = isinstance(self._loads, LoadRGBImage)
        if is_dense and tuple(given) != tuple(inputs.shape[1:]):
            raise ValueError(
                'the test pipeline changes the size of images, so that what '
                "is found is not in the picture's own pixels; leave it to "
                "the model's min_size and max_size"
            )
        return inputs


def _own_types(steps: list) -> list:
    """A pipeline without the transforms that torchvision has for ours."""
    return [
        {key: value for key, value in step.items() if key != 'transforms'}
        if str(step.get('type')).split('.')[-1] == 'VisionTransforms'
        else step
        for step in steps
    ]


def _as_tensor(pixels: np.ndarray) -> dict:
    """What `LoadRGBImage` gives."""
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    pixels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    image = tv_tensors.Image(torch.from_numpy(pixels))
    return dict(img=image, ori_shape=tuple(image.shape[1:]))


def _as_loaded(pixels: np.ndarray, loads: LoadImageFromFile) -> dict:
    """What ``LoadImageFromFile`` gives, which reads BGR."""
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    if loads.color_type.startswith('color') and bgr.ndim == 3:
        image = np.ascontiguousarray(bgr)
    else:  # the decoder's own gray, or its own colors of gray
        content = cv2.imencode('.png', np.ascontiguousarray(bgr))[1].tobytes()
        image = mmcv.imfrombytes(
            content, loads.color_type, backend=loads.imdecode_backend
        )
    return as_results(image.astype(np.float32) if loads.to_float32 else image)
