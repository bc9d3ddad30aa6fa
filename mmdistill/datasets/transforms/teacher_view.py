from __future__ import annotations

import copy

from mmcv.transforms import BaseTransform, Compose
from mmpretrain.datasets.transforms import PackInputs

from mmdistill.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TeacherView(BaseTransform):
    """Sets aside what the teacher sees, before the student's transforms.

    Privileged-information distillation gives the teacher more than the
    student will ever have: more pixels, other channels, another modality.
    What comes before it in the pipeline is common to both.

    Args:
        transforms: applied to the teacher's copy alone.
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
        results['teacher_img'] = self.transforms(copy.deepcopy(results))['img']
        return results


@TRANSFORMS.register_module()
class PackPairInputs(PackInputs):
    """MMPretrain's PackInputs, with the teacher's image beside the student's.

    Returns ``inputs`` and ``teacher_inputs``, each (C, H, W), and
    ``data_samples``. A distiller with a ``teacher_preprocessor`` takes both.

    Raises:
        KeyError: if no `TeacherView` came before it.
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
