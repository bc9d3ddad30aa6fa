from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.knn.features import network_of
from mmdistill.engine.knn.knn_evaluation import KNNEvaluation, build_loader
from mmdistill.engine.utils import unwrap
from mmdistill.evaluation.weighted_knn import NEIGHBORS
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class KNNHook(Hook):
    """Reports weighted k-NN accuracy now and then while a model trains.

    For runs that validate by something else, or not at all; `KNNValLoop` says
    what is measured. The accuracies go to the log and to the visualizer, at
    every ``interval`` and at the end. Training is not changed by it, random
    numbers included.

    Args:
        bank_dataloader: config of a dataloader of the labeled images that
            vote, see `KNNValLoop`.
        val_dataloader: config of one of the images to classify; those of the
            run's validation when None.
        interval: epochs (or iterations) from one evaluation to the next.
        by_epoch: whether the interval counts epochs.
        k, temperature, chunk_size, fp16, part: as of `KNNValLoop`.
            The accuracies of a teacher (``part='teacher'``) are
            ``knn/teacher_top1_k20`` and so on.
    Raises:
        ValueError: if there is nothing to classify, the run has no epochs to
            count, or the model has no such part.
    Config:
        default_hooks=dict(knn=dict(
            type='KNNHook',
            interval=10,
            bank_dataloader=dict(
                batch_size=256,
                num_workers=8,
                dataset=dict(type='ImageNet', data_root='data/imagenet',
                             split='train', pipeline=test_pipeline))))
    """

    def __init__(
        self,
        bank_dataloader: dict,
        val_dataloader: dict | None = None,
        interval: int = 10,
        by_epoch: bool = True,
        k: Sequence[int] = NEIGHBORS,
        temperature: float = 0.07,
        chunk_size: int = 256,
        fp16: bool = False,
        part: str = 'student',
    ) -> None:
        self.bank_dataloader = bank_dataloader
        self.val_dataloader = val_dataloader
        self.interval = interval
        self.by_epoch = by_epoch
        self.part = part
        self._options = (k, temperature, chunk_size, fp16, part)

    def before_run(self, runner) -> None:
        # In test and val runs the training loop stays an unbuilt config.
        if not isinstance(runner._train_loop, BaseLoop):
            return
        if self.by_epoch and hasattr(runner.train_loop, 'dataloader_iterator'):
            raise ValueError(
                f'KNNHook(interval={self.interval}) counts epochs, which '
                f'{type(runner.train_loop).__name__} does not have; set '
                'by_epoch=False and interval in iterations'
            )
        network_of(unwrap(runner.model), self.part, 'KNNHook.part')
        if self.val_dataloader is not None:
            self._loader = build_loader(runner, self.val_dataloader)
        elif runner.val_loop is not None:
            self._loader = runner.val_loop.dataloader
            index_samples(self._loader)
        else:
            raise ValueError(
                'KNNHook has no images to classify: this run does not '
                'validate; set KNNHook.val_dataloader'
            )
        self._knn = KNNEvaluation(runner, self.bank_dataloader, *self._options)

    def after_train_epoch(self, runner) -> None:
        if self.by_epoch and (
            self.every_n_epochs(runner, self.interval)
            or self.is_last_train_epoch(runner)
        ):
            self._report(runner, step=runner.epoch + 1)

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if not self.by_epoch and (
            self.every_n_train_iters(runner, self.interval)
            or self.is_last_train_iter(runner)
        ):
            self._report(runner, step=runner.iter + 1)

    def _report(self, runner, step: int) -> None:
        metrics = self._knn(
            unwrap(runner.model), self._loader, len(self._loader.dataset)
        )
        runner.logger.info(
            '  '.join(f'{name}: {v:.4f}' for name, v in metrics.items())
        )
        runner.visualizer.add_scalars(metrics, step=step)
