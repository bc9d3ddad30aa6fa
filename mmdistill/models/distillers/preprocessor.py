from __future__ import annotations

from mmengine.model import BaseDataPreprocessor
from torch import nn


class PairPreprocessor(BaseDataPreprocessor):
    """Prepares one batch twice: as the student and as the teacher want it.

    Args:
        student: preprocessor of the student; it also prepares the samples.
        teacher: preprocessor of the teacher's copy of the images.
    Raises:
        ValueError: if the student's mixes images of a batch, which the
            teacher's copy could not follow.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        if getattr(student, 'batch_augments', None) is not None:
            raise ValueError(
                'data_preprocessor.batch_augments mixes images at random, so '
                'the teacher would see other images than the student; leave '
                'out model.teacher_preprocessor or the batch augmentation'
            )
        self.student = student
        self.teacher = teacher

    def forward(self, data: dict, training: bool = False) -> dict:
        prepared = self.student(data, training)
        if training:
            prepared['teacher_inputs'] = self.teacher(
                dict(inputs=data['inputs']), training
            )['inputs']
        return prepared
