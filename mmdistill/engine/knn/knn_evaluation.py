from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdistill.datasets.sample_stream import index_samples, seeded
from mmdistill.engine.knn.features import extract_features, feature_reader
from mmdistill.evaluation.weighted_knn import (
    NEIGHBORS,
    check_neighbors,
    weighted_knn,
)
from mmdistill.models.probing import evaluating
from mmdistill.ops import all_reduce_sum

_TOP = (1, 5)


class KNNEvaluation:
    """Weighted k-NN accuracy of a model: what the loops and the hook share.

    The model's modes and all random states are as before afterwards.

    Args:
        runner: builds the bank's dataloader, and knows the seed.
        bank_dataloader: config of a dataloader of the labeled images that
            vote: the training images, prepared as in testing. Its sampler is
            the DefaultSampler in order, its collate_fn default_collate,
            unless it names others.
        k: numbers of neighbors.
        temperature: of the votes.
        chunk_size: samples classified at a time, see `weighted_knn`.
        fp16: run the model under autocast.
        part: of a distiller, see `network_of`.
    Raises:
        ValueError: if a k exceeds the bank, or its sampler never ends.
    """

    def __init__(
        self,
        runner,
        bank_dataloader: dict,
        k: Sequence[int] = NEIGHBORS,
        temperature: float = 0.07,
        chunk_size: int = 256,
        fp16: bool = False,
        part: str = 'student',
    ) -> None:
        self.runner = runner
        self.k = tuple(k)
        self.temperature = temperature
        self.chunk_size = chunk_size
        self.fp16 = fp16
        self.part = part
        self.bank = build_loader(runner, bank_dataloader)
        check_neighbors(self.k, len(self.bank.dataset))

    def __call__(
        self, model: nn.Module, batches: Iterable[dict], num_samples: int
    ) -> dict[str, float]:
        """Classify all samples of a dataset.

        Args:
            model: not in a distributed wrapper.
            batches: this process's share of it, as of `extract_features`.
            num_samples: length of the dataset.
        Returns:
            the accuracies in percent, as ``knn/top1_k20``, ``knn/top5_k20``;
            of a teacher, ``knn/teacher_top1_k20``.
        """
        runner = self.runner
        size = len(self.bank.dataset)
        runner.logger.info(
            f'k-NN of the {self.part}: features of {size} + {num_samples} '
            'images'
        )
        with seeded(runner.seed), evaluating(model):
            read = feature_reader(model, self.part)
            queries, bank = (
                extract_features(
                    model, loader, number, self.fp16, read, self.part
                )
                for loader, number in (
                    (batches, num_samples),
                    (self.bank, size),
                )
            )
        return self._accuracies(_labeled(*queries), _labeled(*bank))

    def _accuracies(
        self,
        queries: tuple[Tensor, Tensor],
        bank: tuple[Tensor, Tensor],
    ) -> dict[str, float]:
        """Every process classifies a share of the queries."""
        features, labels = queries
        share = slice(get_rank(), None, get_world_size())
        ranked = weighted_knn(
            features[share],
            *bank,
            num_classes=int(bank[1].max()) + 1,
            k=self.k,
            temperature=self.temperature,
            top=max(_TOP),
            chunk_size=self.chunk_size,
        )
        right = {k: ranked[k] == labels[share, None] for k in self.k}
        names = [(top, k) for top in _TOP for k in self.k]
        counts = [right[k][:, :top].sum() for top, k in names]
        counts = all_reduce_sum(torch.stack(counts)).tolist()
        whose = '' if self.part == 'student' else f'{self.part}_'
        return {
            f'knn/{whose}top{top}_k{k}': 100 * count / len(labels)
            for (top, k), count in zip(names, counts, strict=True)
        }


def build_loader(runner, cfg: dict) -> DataLoader:
    """A dataloader that gives all samples once; they know their index.

    Random states are left alone.
    """
    cfg = dict(cfg)
    cfg.setdefault('sampler', dict(type='DefaultSampler', shuffle=False))
    cfg.setdefault('collate_fn', dict(type='default_collate'))
    with seeded(runner.seed):
        loader = runner.build_dataloader(cfg, seed=runner.seed)
    if isinstance(loader.sampler, InfiniteSampler):
        raise ValueError(
            'the InfiniteSampler of a k-NN dataloader never ends; leave its '
            "sampler out, or set sampler=dict(type='DefaultSampler', "
            'shuffle=False)'
        )
    index_samples(loader)
    return loader


def _labeled(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Without the samples that have no label."""
    known = labels >= 0
    if not known.any():
        raise ValueError(
            f'none of {len(labels)} samples has a label, which k-NN needs of '
            'the bank and of the validation set; use labeled datasets'
        )
    if known.all():
        return features, labels
    return features[known], labels[known]
