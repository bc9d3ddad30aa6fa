from __future__ import annotations

import copy
import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.datasets.transforms import PackInputs

from mmdistill.registry import TRANSFORMS

#: Keys that describe one image of a sample; each image of a pair has its own.
_OF_AN_IMAGE = 'img', 'img_path', 'teacher_img', 'img_shape', 'ori_shape'


@TRANSFORMS.register_module()
class TeacherView(BaseTransform):
    """Store the teacher's image before the student's own transforms.

    In privileged-information distillation the teacher gets information that
    the student will not have: more pixels, other channels, another modality.
    Transforms before this one apply to both. If the teacher has its own file
    (`PairedImages`), ``transforms`` must load it first. A second
    ``TeacherView`` continues with the teacher's image.

    Args:
        transforms: applied to the teacher's copy only.
    Raises:
        KeyError: if the sample has a teacher file and ``transforms`` does not
            load it.
    Config:
        train_pipeline=[
            dict(type='RandomCrop', crop_size=8, padding=1),
            dict(type='TeacherView'),
            dict(type='Resize', scale=4),   # the student's only
            dict(type='PackPairInputs')]
    """

    def __init__(self, transforms: list[dict] | None = None) -> None:
        self.transforms = Compose(transforms or [])

    def transform(self, results: dict) -> dict:
        """Add ``teacher_img`` to the results."""
        taken = _teachers_copy(results)
        try:
            results['teacher_img'] = self.transforms(taken)['img']
        except KeyError as error:
            path = results.get('teacher_img_path')
            if error.args != ('img',) or path is None:
                raise
            raise KeyError(
                f"the teacher's file {path!r} is not loaded; let "
                'TeacherView.transforms begin with '
                "dict(type='LoadImageFromFile')"
            ) from error
        return results


@TRANSFORMS.register_module()
class SharedTransforms(BaseTransform):
    """Apply transforms with the same random numbers to both images.

    It is for augmentation that must match, such as crop and flip, when
    student and teacher have separate files.

    Args:
        transforms: applied to the student's and to the teacher's image.
    Raises:
        KeyError: if there is no `TeacherView` before it.
        ValueError: if the two images differ in height or width, because the
            same random crop would then select different regions.
    Config:
        train_pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(256, 256)),
            dict(
                type='TeacherView',
                transforms=[
                    dict(type='LoadImageFromFile'),
                    dict(type='Resize', scale=(256, 256))]),
            dict(
                type='SharedTransforms',
                transforms=[
                    dict(type='RandomResizedCrop', scale=224),
                    dict(type='RandomFlip', prob=0.5)]),
            dict(type='Resize', scale=32),   # the student's only
            dict(type='PackPairInputs')]
    """

    def __init__(self, transforms: list[dict]) -> None:
        self.transforms = Compose(transforms)

    def transform(self, results: dict) -> dict:
        """Transform ``img`` and ``teacher_img``."""
        if 'teacher_img' not in results:
            raise KeyError(
                'SharedTransforms found no teacher_img; put '
                "dict(type='TeacherView') before it"
            )
        sizes = _size(results['img']), _size(results['teacher_img'])
        if sizes[0] != sizes[1]:
            raise ValueError(
                'SharedTransforms draws alike only for images of one size, '
                f"but the student's is {sizes[0]} (height, width) and the "
                f"teacher's {sizes[1]}; resize both before it, such as with "
                "dict(type='Resize', scale=(w, h)) in train_pipeline and in "
                'TeacherView.transforms'
            )
        states = (
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
        )
        theirs = self.transforms(_teachers_copy(results))['img']
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        del results['teacher_img']
        return {**self.transforms(results), 'teacher_img': theirs}


def _teachers_copy(results: dict) -> dict:
    """A copy of the sample for the teacher, without the student's image."""
    if 'teacher_img' in results:
        image = results['teacher_img']
        own = dict(img=image, img_shape=_size(image))
    elif 'teacher_img_path' in results:
        own = dict(img_path=results['teacher_img_path'])
    else:
        return copy.deepcopy(results)
    rest = {k: v for k, v in results.items() if k not in _OF_AN_IMAGE}
    return copy.deepcopy({**rest, **own})


def _size(image: np.ndarray | torch.Tensor) -> tuple[int, ...]:
    """Height and width of an (H, W[, C]) array or a (C, H, W) tensor."""
    shape = image.shape
    return tuple(shape[-2:] if torch.is_tensor(image) else shape[:2])


@TRANSFORMS.register_module()
class PackPairInputs(PackInputs):
    """MMPretrain's PackInputs for the student's and the teacher's image.

    It returns ``inputs`` and ``teacher_inputs``, each (C, H, W), and
    ``data_samples``, for distillers with a ``teacher_preprocessor``.

    Raises:
        KeyError: if there is no `TeacherView` before it.
    """

    def transform(self, results: dict) -> dict:
        """Pack both images."""
        if 'teacher_img' not in results:
            raise KeyError(
                'PackPairInputs found no teacher_img; put '
                "dict(type='TeacherView') before the student's transforms"
            )
        packed = super().transform(results)
        packed['teacher_inputs'] = self.format_input(results['teacher_img'])
        return packed
