from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from mmdistill.models.distillers.adapted_images import AdaptedImages

#: Attributes of preprocessors that draw at random, unless they are empty.
_DRAWING = 'batch_augments', 'crop_padding', 'flip_prob', 'crop_groups'


class TargetsPreprocessor(BaseDataPreprocessor):
    """Prepares one batch several times: as each model wants it.

    Targets see the student's images, prepared anew or adapted, or images of
    their own that the pipeline gives as ``<name>_inputs`` (`TeacherView`).

    Args:
        student: preprocessor of the student; it also prepares the samples.
        targets: preprocessors of the targets' copies, by the targets' names;
            or `AdaptedImages`, which take what is ready for the student.
    Raises:
        ValueError: if the student's mixes images of a batch, which a
            preprocessor of a copy could not follow; or if a batch has images
            for a target that is not there.
    """

    def __init__(
        self, student: nn.Module, targets: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        draws = [name for name in _DRAWING if getattr(student, name, None)]
        self.targets = nn.ModuleDict(targets)
        if draws and self._anew():
            first = self._anew()[0]
            setting = (
                'model.teacher_preprocessor'
                if first == 'teacher'
                else f'model.teachers.{first}.preprocessor'
            )
            raise ValueError(
                f'data_preprocessor draws at random ({draws}), so the '
                f'{first} would see other images than the student; leave out '
                f'{setting}, or augment in train_pipeline'
            )
        self.student = student

    def forward(self, data: dict, training: bool = False) -> dict:
        given = [key for key in data if key.endswith('_inputs')]
        taken = [f'{name}_inputs' for name in self._anew()]
        if not {*given} <= {*taken}:
            raise ValueError(
                f'the pipeline gives {given}, but teachers with images and a '
                f'preprocessor of their own take {taken}; rename the teacher '
                "(PackPairInputs gives those of 'teacher'), or leave its view "
                'out of the pipeline'
            )
        prepared = self.student(data, training)
        if training:
            for name in self.targets:
                images = self.images_of(name, data, prepared, training)
                prepared[f'{name}_inputs'] = images
        return prepared

    def images_of(
        self, name: str, data: dict, prepared: dict, training: bool
    ) -> Tensor | list[Tensor]:
        """A target's images: its own of the pipeline, or the student's.

        Args:
            name: of the target.
            data: a batch of the dataloader.
            prepared: the same, ready for the student.
            training: whether it is trained on.
        """
        module = self.targets[name]
        if isinstance(module, AdaptedImages):
            views = prepared['inputs']
            if isinstance(views, Tensor):
                return module(views)
            return [module(view) for view in views]
        images = data.get(f'{name}_inputs', data['inputs'])
        return module(dict(inputs=images), training)['inputs']

    def _anew(self) -> list[str]:
        """The targets whose images are prepared from the pipeline's."""
        return [
            name
            for name, module in self.targets.items()
            if not isinstance(module, AdaptedImages)
        ]


def target_images(
    preprocessor: nn.Module, data: dict, prepared: dict, name: str = 'teacher'
) -> Tensor:
    """What a target is tested on: images as it wants them.

    Args:
        preprocessor: of a distiller.
        data: a batch of the dataloader.
        prepared: the same, as the preprocessor prepares it for a test.
        name: of the target.
    Shape:
        (N, C, H, W): the student's, unless the target has a preprocessor.
    """
    for module in preprocessor.modules():
        if isinstance(module, TargetsPreprocessor) and name in module.targets:
            return module.images_of(name, data, prepared, False)
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
