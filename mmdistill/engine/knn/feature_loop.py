from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from mmdistill.engine.utils import unwrap


class FeatureLoop:
    """What loops share that measure the features of all images at once.

    A subclass is also a ValLoop or a TestLoop, says its ``stage`` ('val' or
    'test') and what it measures.
    """

    stage: str

    def measure(
        self, model: nn.Module, batches: Iterable[dict], num_samples: int
    ) -> dict[str, float]:
        """The metrics of a model.

        Args:
            model: not in a distributed wrapper.
            batches: this process's share of the dataset.
            num_samples: length of the dataset.
        """
        raise NotImplementedError

    def run(self) -> dict[str, float]:
        """Measure, compute the evaluator's metrics, tell the hooks."""
        call_hook = self.runner.call_hook
        call_hook(f'before_{self.stage}')
        call_hook(f'before_{self.stage}_epoch')
        size = len(self.dataloader.dataset)
        model = unwrap(self.runner.model)
        metrics = self.measure(model, self._batches(), size)
        metrics.update(self.evaluator.evaluate(size))
        call_hook(f'after_{self.stage}_epoch', metrics=metrics)
        call_hook(f'after_{self.stage}')
        return metrics

    def _batches(self) -> Iterator[dict]:
        """The dataloader's batches, those of the loop that hooks see."""
        for i, batch in enumerate(self.dataloader):
            if self.evaluator.metrics:
                self.run_iter(i, batch)  # predictions, as in any other loop
            else:
                event = dict(batch_idx=i, data_batch=batch)
                self.runner.call_hook(f'before_{self.stage}_iter', **event)
                self.runner.call_hook(
                    f'after_{self.stage}_iter',
                    outputs=batch['data_samples'],
                    **event,
                )
            yield batch
