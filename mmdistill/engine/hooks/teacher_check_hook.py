from __future__ import annotations

import numpy as np
from mmengine.hooks import Hook

from mmdistill.datasets.transforms import PackPairInputs
from mmdistill.engine.utils import frozen_targets, unwrap
from mmdistill.models.distillers import BaseDistiller, Target
from mmdistill.models.parts import head_of
from mmdistill.registry import HOOKS
from mmdistill.utils.progress import progress


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Evaluates the frozen teacher on the validation set before training.

    A teacher that was loaded or preprocessed wrongly costs hours before it is
    noticed; this costs one pass. The metrics are logged as ``teacher/...``,
    or under the name of each of several teachers, and stand beside the
    student's at every validation.
    A model without a frozen teacher is left alone unless an accuracy is asked
    for, and so is one whose teacher sees images that validation lacks
    (`PackPairInputs` in the training pipeline alone).

    Args:
        min_accuracy: top-1 accuracy, in percent, below which training does
            not start; None only logs.
    Raises:
        RuntimeError: if the teacher is below ``min_accuracy``.
        ValueError: if there is no frozen teacher, or no validation set with
            its images to check ``min_accuracy`` on.
    Config:
        default_hooks=dict(teacher_check=dict(
            type='TeacherCheckHook', min_accuracy=70.0))
    """

    metric = 'accuracy/top1'

    def __init__(self, min_accuracy: float | None = None) -> None:
        self.min_accuracy = min_accuracy

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        teachers = frozen_targets(model)
        if not teachers:
            if self.min_accuracy is None:
                return
            raise ValueError(
                f'TeacherCheckHook needs a frozen teacher, which '
                f'{type(model).__name__} does not have; remove it from '
                'default_hooks'
            )
        loop = runner.val_loop
        if loop is None:
            self._cannot(
                runner,
                'there is no validation set',
                'set val_dataloader, val_evaluator and val_cfg',
            )
            return
        if _makes_pairs(runner.train_dataloader.dataset) and not _makes_pairs(
            loop.dataloader.dataset
        ):
            self._cannot(
                runner,
                "the validation set has no images of the teacher's",
                'end the pipeline of val_dataloader with TeacherView and '
                'PackPairInputs, as that of train_dataloader',
            )
            return
        for name in teachers:
            if head_of(model.targets[name].model) is None:
                self._cannot(
                    runner, f'{name} has no classifier', 'take one that has'
                )
                continue
            self._check(runner, model, name)

    def _check(self, runner, model: BaseDistiller, teacher: str) -> None:
        loop = runner.val_loop
        for batch in progress(loop.dataloader, f'testing the {teacher}'):
            loop.evaluator.process(
                data_samples=model.predict_target(teacher, batch),
                data_batch=batch,
            )
        metrics = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        metrics = {f'{teacher}/{name}': v for name, v in metrics.items()}
        runner.logger.info(
            '  '.join(
                f'{name}: {value:.4f}' for name, value in metrics.items()
            )
        )
        # Not a record of its own: tools that read the log expect the same
        # metrics in all of those that are not of training.
        for name, value in metrics.items():
            if np.ndim(value) == 0:
                runner.message_hub.update_scalar(
                    f'val/{name}', value, resumed=False
                )
        self._require(metrics, model.targets[teacher])

    def _cannot(self, runner, why: str, remedy: str) -> None:
        if self.min_accuracy is not None:
            raise ValueError(
                f'TeacherCheckHook.min_accuracy cannot be checked: {why}; '
                f'{remedy}, or remove min_accuracy'
            )
        runner.logger.warning(f'{why}: the teacher was not checked')

    def _require(self, metrics: dict[str, float], target: Target) -> None:
        if self.min_accuracy is None:
            return
        accuracy = metrics.get(f'{target.name}/{self.metric}')
        if accuracy is None:
            raise ValueError(
                f'TeacherCheckHook.min_accuracy needs the metric '
                f'{self.metric!r}, but val_evaluator gives {sorted(metrics)}; '
                "use dict(type='Accuracy')"
            )
        if accuracy < self.min_accuracy:
            preprocessor = target.setting_preprocessor
            raise RuntimeError(
                f'{target.setting} reaches {accuracy:.2f} % on the '
                f'validation set, below min_accuracy={self.min_accuracy}; '
                f'check {target.setting_ckpt} ({target.ckpt!r}), its classes'
                + f', its preprocessor ({preprocessor})' * bool(preprocessor)
                + ', or lower TeacherCheckHook.min_accuracy'
            )


def _makes_pairs(dataset) -> bool:
    """Whether a dataset, or any that it wraps, gives the teacher's images."""
    pipeline = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    inner = [getattr(dataset, 'dataset', None)]
    inner += getattr(dataset, 'datasets', ())
    return any(isinstance(t, PackPairInputs) for t in pipeline) or any(
        _makes_pairs(part) for part in inner if part is not None
    )
