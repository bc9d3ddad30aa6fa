from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

#: Attributes of preprocessors that draw at random, unless they are empty.
_DRAWING = 'batch_augments', 'crop_padding', 'flip_prob', 'crop_groups'


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
        draws = [name for name in _DRAWING if getattr(student, name, None)]
        if draws:
            raise ValueError(
                f'data_preprocessor draws at random ({draws}), so the teacher '
                'would see other images than the student; leave out '
                'model.teacher_preprocessor, or augment in train_pipeline'
            )
        self.student = student
        self.teacher = teacher

    def forward(self, data: dict, training: bool = False) -> dict:
        prepared = self.student(data, training)
        if training:
            prepared['teacher_inputs'] = self.teacher_inputs(data, training)
        return prepared

    def teacher_inputs(self, data: dict, training: bool) -> Tensor:
        """The teacher's images: its own of the pipeline, or the student's."""
        images = data.get('teacher_inputs', data['inputs'])
        return self.teacher(dict(inputs=images), training)['inputs']


def teacher_images(
    preprocessor: nn.Module, data: dict, prepared: dict
) -> Tensor:
    """What the teacher is tested on: images as it wants them.

    Args:
        preprocessor: of a distiller.
        data: a batch of the dataloader.
        prepared: the same, as the preprocessor prepares it for a test.
    Shape:
        (N, C, H, W): the student's, unless the teacher has a preprocessor.
    """
    for module in preprocessor.modules():
        if isinstance(module, PairPreprocessor):
            return module.teacher_inputs(data, False)
    return prepared['inputs']


class ViewsPreprocessor(BaseDataPreprocessor):
    """Prepares every view of a batch as another preprocessor does one.

    Args:
        single: prepares one view. A batch of one view is handed to it as it
            is, and may come back as several.
    Raises:
        ValueError: if the batch has several views and ``single`` would make
            several of each.
    """

    def __init__(self, single: nn.Module) -> None:
        super().__init__()
        self.single = single

    def forward(self, data: dict, training: bool = False) -> dict:
        views = data['inputs']
        if not _is_views(views):
            return self.single(data, training)
        if training and getattr(self.single, 'num_views', 1) > 1:
            raise ValueError(
                f'train_pipeline makes {len(views)} views and '
                f'data_preprocessor {self.single.num_views} of each; leave '
                "train_pipeline's out or data_preprocessor.num_views at 1"
            )
        first = self.single({**data, 'inputs': views[0]}, training)
        rest = [self.single(dict(inputs=v), training) for v in views[1:]]
        return {
            key: [value, *(other[key] for other in rest)]
            if isinstance(value, Tensor)
            else value
            for key, value in first.items()
        }


def _is_views(inputs: Any) -> bool:
    """Whether a batch is a list of views, each a tensor or a list of images.

    A list of images (C, H, W), as MMEngine's pseudo_collate makes, is one
    view.
    """
    if not isinstance(inputs, (list, tuple)):
        return False
    return isinstance(inputs[0], (list, tuple)) or inputs[0].ndim == 4
