from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.runner import TestLoop, ValLoop
from torch import nn

from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.knn.feature_loop import FeatureLoop
from mmdistill.engine.knn.features import network_of
from mmdistill.engine.knn.knn_evaluation import KNNEvaluation
from mmdistill.engine.utils import unwrap
from mmdistill.evaluation.weighted_knn import NEIGHBORS
from mmdistill.registry import LOOPS


class _KNNLoop(FeatureLoop):
    """What validation and testing by k-NN share."""

    def __init__(
        self,
        runner,
        dataloader,
        evaluator,
        bank_dataloader: dict,
        k: Sequence[int] = NEIGHBORS,
        temperature: float = 0.07,
        chunk_size: int = 256,
        fp16: bool = False,
        part: str = 'student',
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        network_of(unwrap(runner.model), part, f'{self.stage}_cfg.part')
        self.part = part
        self.knn = KNNEvaluation(
            runner, bank_dataloader, k, temperature, chunk_size, fp16, part
        )
        index_samples(self.dataloader)

    @staticmethod
    def reported(
        k: Sequence[int] = NEIGHBORS, part: str = 'student', **_: Any
    ) -> list[str]:
        """Names of what it reports, by its settings; see `doctor`."""
        whose = '' if part == 'student' else f'{part}_'
        return [f'knn/{whose}top{n}_k{one}' for n in (1, 5) for one in k]

    def measure(
        self, model: nn.Module, batches: Iterable[dict], num_samples: int
    ) -> dict[str, float]:
        """Classify all images by the bank."""
        return self.knn(model, batches, num_samples)


@LOOPS.register_module()
class KNNValLoop(_KNNLoop, ValLoop):
    """Validates by weighted k-NN on the features of labeled images.

    The metrics are ``knn/top1_k20`` and so on, and ``knn/top5_k20``, in
    percent. MMEngine wants a ``val_evaluator``: an empty list is enough;
    metrics in it are computed, too. The features of the whole bank and of the
    validation set lie on the device while a validation runs.

    Paper: Wu et al., Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination, CVPR 2018, https://arxiv.org/abs/1805.01978,
    section 3.4; the protocol of the ProtoCPC, DINO and SEED papers.

    Args:
        runner, dataloader, evaluator, fp16: as of MMEngine's loop.
        bank_dataloader: config of a dataloader of the labeled images that
            vote: the training images, prepared as in testing. Its sampler is
            the DefaultSampler in order, its collate_fn default_collate,
            unless it names others.
        k: numbers of neighbors.
        temperature: of the votes, dimensionless.
        chunk_size: images classified at a time; the memory needed beside the
            features is about chunk_size x (size of the bank) x 4 bytes.
        part: of a distiller, 'student'; or 'teacher' for a momentum copy of
            the student (DINO), a teacher that learns beside it (OSS), or a
            frozen one; or 'slow_student' for a momentum copy beside a teacher
            (CoCoRD). Metrics then are ``knn/teacher_top1_k20`` and so on,
            which ``save_best`` and ``ExportStudentHook.metric`` have to name.
    Raises:
        ValueError: if a k exceeds the bank, samples are missing, none has a
            label, or the model has no such part.
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

    Of a finished run, ``tools/test.py CONFIG epoch_100.pth --cfg-options
    test_cfg.part=teacher`` measures the teacher in the full checkpoint. A
    frozen one comes from ``model.teacher_ckpt``.

    Config:
        test_evaluator=[],
        test_cfg=dict(type='KNNTestLoop', bank_dataloader=dict(...))
    """

    stage = 'test'
