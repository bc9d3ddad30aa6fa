from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmengine.runner import TestLoop, ValLoop

from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.hooks.model_hook import unwrap
from mmdistill.engine.knn import KNNEvaluation
from mmdistill.evaluation.knn import NEIGHBOURS
from mmdistill.registry import LOOPS


class _KNNLoop:
    """What validation and testing by k-NN share."""

    stage: str

    def __init__(
        self,
        runner,
        dataloader,
        evaluator,
        bank_dataloader: dict,
        k: Sequence[int] = NEIGHBOURS,
        temperature: float = 0.07,
        chunk_size: int = 256,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        self.knn = KNNEvaluation(
            runner, bank_dataloader, k, temperature, chunk_size, fp16
        )
        index_samples(self.dataloader)

    def run(self) -> dict[str, float]:
        """Classify all images by the bank; the metrics go to the hooks."""
        call_hook = self.runner.call_hook
        call_hook(f'before_{self.stage}')
        call_hook(f'before_{self.stage}_epoch')
        size = len(self.dataloader.dataset)
        metrics = self.knn(unwrap(self.runner.model), self._batches(), size)
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


@LOOPS.register_module()
class KNNValLoop(_KNNLoop, ValLoop):
    """Validates by weighted k-NN on the features of labelled images.

    The metrics are ``knn/top1_k20`` and so on, and ``knn/top5_k20``, in
    percent. MMEngine wants a ``val_evaluator``: an empty list is enough;
    metrics in it are computed, too. The features of the whole bank and of the
    validation set lie on the device while a validation runs.

    Paper: Wu et al., Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination, CVPR 2018, section 3.4; the protocol of the
    ProtoCPC, DINO and SEED papers.

    Args:
        runner, dataloader, evaluator, fp16: as of MMEngine's loop.
        bank_dataloader: config of a dataloader of the labelled images that
            vote: the training images, prepared as in testing. Its sampler is
            the DefaultSampler in order, its collate_fn default_collate,
            unless it names others.
        k: numbers of neighbours.
        temperature: of the votes, dimensionless.
        chunk_size: images classified at a time; the memory needed beside the
            features is about chunk_size x (size of the bank) x 4 bytes.
    Raises:
        ValueError: if a k exceeds the bank, samples are missing, or none has
            a label.
    Config:
        val_evaluator=[],
        val_cfg=dict(
            type='KNNValLoop',
            bank_dataloader=dict(
                batch_size=256,
                num_workers=8,
                dataset=dict(type='ImageNet', data_root='data/imagenet',
                             split='train', pipeline=test_pipeline))),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook',
                                           save_best='knn/top1_k20'))
    """

    stage = 'val'


@LOOPS.register_module()
class KNNTestLoop(_KNNLoop, TestLoop):
    """Tests by weighted k-NN; everything as in `KNNValLoop`.

    Config:
        test_evaluator=[],
        test_cfg=dict(type='KNNTestLoop', bank_dataloader=dict(...))
    """

    stage = 'test'
