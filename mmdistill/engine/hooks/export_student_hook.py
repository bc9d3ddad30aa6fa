from __future__ import annotations

import os.path as osp

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from torch import Tensor

from mmdistill.checkpoints import atomic_save, clear_temporary, load_file
from mmdistill.checkpoints.finite import not_finite
from mmdistill.engine.utils import resumed, unwrap
from mmdistill.export import student_checkpoint
from mmdistill.registry import HOOKS
from mmdistill.utils.text import shown


@HOOKS.register_module()
class ExportStudentHook(Hook):
    """Writes the student alone: ``student.pth`` and ``student_best.pth``.

    Each is a plain MMPretrain classifier checkpoint that holds its config:
    network, preprocessor, test pipeline, class names, and the size of the
    validation images. The first is written when training ends, the second at
    every best validation. A file is whole or not there, and never holds NaN
    or infinity.

    Args:
        metric: what "best" means, a key of the validation metrics.
        greater: whether more of it is better.
    Raises:
        KeyError: if validation does not give the metric.
        FloatingPointError: if the student is not finite.
    Config:
        default_hooks=dict(export_student=dict(type='ExportStudentHook'))
    """

    # Before EMAHook, which swaps the validated weights back when it ends.
    priority = 'ABOVE_NORMAL'

    def __init__(
        self, metric: str = 'accuracy/top1', greater: bool = True
    ) -> None:
        self.metric = metric
        self.greater = greater
        self._training = False

    def before_train(self, runner) -> None:
        self._training = True
        self._best = None
        self._sizes = set()
        if is_main_process():
            clear_temporary(runner.work_dir, 'student.pth', 'student_best.pth')
        path = osp.join(runner.work_dir, 'student_best.pth')
        if resumed(runner) and osp.isfile(path):
            # The file may be newer than the checkpoint that is resumed.
            self._best = load_file(path)['meta'].get('score')

    def after_val_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        if self._training and isinstance(data_batch, dict):
            inputs = data_batch.get('inputs')
            images = [inputs] if isinstance(inputs, Tensor) else inputs or ()
            self._sizes |= {tuple(image.shape[-2:]) for image in images}

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        if not self._training or not metrics:
            return
        if self.metric not in metrics:
            raise KeyError(
                f'ExportStudentHook.metric={self.metric!r} is none of the '
                f'validation metrics {sorted(metrics)}; change it'
            )
        score = float(metrics[self.metric])
        if self._best is None or (
            score > self._best if self.greater else score < self._best
        ):
            self._best = score
            self._write(runner, 'student_best.pth', score)

    def after_train(self, runner) -> None:
        self._write(runner, 'student.pth', None)
        self._training = False

    @master_only
    def _write(self, runner, name: str, score: float | None) -> None:
        size = next(iter(self._sizes)) if len(self._sizes) == 1 else None
        checkpoint = student_checkpoint(unwrap(runner.model), runner.cfg, size)
        checkpoint['meta'].update(
            epoch=runner.epoch, iter=runner.iter, score=score
        )
        dataset = runner.train_dataloader.dataset
        checkpoint['meta']['dataset_meta'] = dict(
            getattr(dataset, 'metainfo', {})
        )
        path = osp.join(runner.work_dir, name)
        bad = not_finite(checkpoint['state_dict'])
        if bad:
            raise FloatingPointError(
                f'{path} is not written: NaN or infinity stands in '
                f'{len(bad)} tensors of the student: {shown(bad)}'
            )
        atomic_save(checkpoint, path)
        runner.logger.info(f'wrote the student to {path}')
