from __future__ import annotations

from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import DataLoader

from mmdistill.datasets.sample_stream import seeded
from mmdistill.engine.utils import resumed, unwrap
from mmdistill.models.memories import FeatureQueue
from mmdistill.ops import rank
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class QueueHook(Hook):
    """Decides when feature queues take part, and fills them beforehand.

    Args:
        start_epoch: epoch (from 0) from which on queues keep and show rows.
        prefill: rows that every queue holds before the first step, taken from
            training images; 0 starts with empty queues. A resumed run keeps
            the rows of its checkpoint.
    Raises:
        ValueError: if the model has no queue, or prefill exceeds a queue's
            size.
    Config:
        default_hooks=dict(queue=dict(type='QueueHook', prefill=2048))
    """

    # Behind MomentumUpdateHook, which makes the copies that fill them.
    priority = 'BELOW_NORMAL'

    def __init__(self, start_epoch: int = 0, prefill: int = 0) -> None:
        if start_epoch and prefill:
            raise ValueError(
                f'QueueHook takes start_epoch={start_epoch} or prefill='
                f'{prefill}, not both: a queue that is off keeps nothing'
            )
        self.start_epoch = start_epoch
        self.prefill = prefill

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        queues = _queues(model)
        if not queues:
            raise ValueError(
                f'QueueHook found no FeatureQueue in {type(model).__name__}; '
                'set default_hooks.queue=None'
            )
        if self.start_epoch and hasattr(
            runner.train_loop, 'dataloader_iterator'
        ):
            raise ValueError(
                f'QueueHook(start_epoch={self.start_epoch}) counts epochs, '
                f'which {type(runner.train_loop).__name__} does not have; '
                'train by epochs or leave start_epoch out'
            )
        self._switch(queues, runner.epoch)
        if self.prefill == 0 or resumed(runner):
            return
        for name, queue in queues.items():
            if self.prefill > queue.size:
                raise ValueError(
                    f'QueueHook(prefill={self.prefill}) exceeds the size '
                    f'{queue.size} of the queue model.{name}'
                )
        model.train()  # in eval mode, as after runner.val(), memories rest
        with seeded(runner.seed, *filter(None, [rank()])):
            for batch in self._batches(runner):
                model.prefill(batch)
                if all(len(q) >= self.prefill for q in queues.values()):
                    break
        left = [k for k, q in queues.items() if len(q) < self.prefill]
        if left:
            raise ValueError(
                f'QueueHook(prefill={self.prefill}) fills queues of losses '
                f'that compare the student with a target; {left} are none, or '
                'the training set is too small. Set prefill=0'
            )

    def before_train_epoch(self, runner) -> None:
        self._switch(_queues(unwrap(runner.model)), runner.epoch)

    def _switch(self, queues: dict[str, FeatureQueue], epoch: int) -> None:
        for queue in queues.values():
            queue.enabled = epoch >= self.start_epoch

    @staticmethod
    def _batches(runner) -> DataLoader:
        """Training batches, without touching the training sampler."""
        loader = runner.train_dataloader
        return DataLoader(
            loader.dataset,
            batch_size=loader.batch_size,
            sampler=DefaultSampler(loader.dataset, seed=runner.seed),
            num_workers=0,
            collate_fn=loader.collate_fn,
        )


def _queues(model: nn.Module) -> dict[str, FeatureQueue]:
    """Every queue of a model, by its path."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, FeatureQueue)
    }
