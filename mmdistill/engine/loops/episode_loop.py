from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import TestLoop, ValLoop
from torch import Tensor, nn

from mmdistill.datasets.labels import dataset_labels
from mmdistill.datasets.sample_stream import index_samples, seeded
from mmdistill.datasets.samplers import Episodes
from mmdistill.engine.knn.feature_loop import FeatureLoop
from mmdistill.engine.knn.features import extract_features
from mmdistill.evaluation.classify_episodes import (
    classify_episodes,
    mean_and_interval,
)
from mmdistill.models.distillers import OnlineDistiller
from mmdistill.models.probing import evaluating
from mmdistill.ops import all_reduce_sum
from mmdistill.registry import LOOPS


class _EpisodeLoop(FeatureLoop):
    """What validation and testing by few-shot episodes share."""

    def __init__(
        self,
        runner,
        dataloader,
        evaluator,
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        episodes: int = 600,
        seed: int = 0,
        chunk_size: int = 100,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        if episodes < 2:
            raise ValueError(
                f'{type(self).__name__} needs episodes >= 2, which make an '
                f'interval, got {episodes}; change {self.stage}_cfg.episodes'
            )
        dataset = index_samples(self.dataloader)
        self.way = way
        self.shot = shot
        self.query = query
        self.seed = seed
        self.chunk_size = chunk_size
        self.num_episodes = episodes
        self.episodes = Episodes(
            dataset_labels(dataset),
            way,
            shot,
            query,
            getattr(dataset, 'metainfo', {}).get('classes'),
            where=f'{self.stage}_cfg',
        )

    @staticmethod
    def reported(**_: Any) -> list[str]:
        """Patterns of what it reports, by its settings; see `doctor`."""
        names = ['accuracy', 'ci95', 'peer_*', 'ensemble', 'ensemble_ci95']
        return [f'episode/{name}' for name in names]

    def measure(
        self, model: nn.Module, batches: Iterable[dict], num_samples: int
    ) -> dict[str, float]:
        """Every process classifies a share of the episodes."""
        with seeded(self.runner.seed), evaluating(model):
            features = self._features(model, batches, num_samples)
        classes = {name: self._classify(x) for name, x in features.items()}
        mean, half = self._accuracy(classes.pop('leader'))
        metrics = {'episode/accuracy': mean, 'episode/ci95': half}
        for name, predicted in classes.items():
            mean, half = self._accuracy(predicted)
            metrics[f'episode/{name}'] = mean
            metrics[f'episode/{name}_ci95'] = half
        return metrics

    def _features(
        self, model: nn.Module, batches: Iterable[dict], num_samples: int
    ) -> dict[str, Tensor]:
        """What classifies: the student, and its peers if it has any."""
        more = (batches, num_samples, self.fp16)
        if not isinstance(model, OnlineDistiller) or not model.has_peers:
            return dict(leader=extract_features(model, *more)[0])

        def read(images: Tensor) -> Tensor:
            peers, _ = model.group.read(images)
            return torch.cat([peer.feature for peer in peers], dim=1)

        # Squared distances add over concatenated features: this equals
        # averaging the peers' scores.
        ensemble, _ = extract_features(model, *more, read)
        *others, leader = ensemble.split(
            model.group.shapes.feature_dims, dim=1
        )
        peers = {f'peer_{i}': x for i, x in enumerate(others, 1)}
        return dict(leader=leader, **peers, ensemble=ensemble)

    def _classify(self, features: Tensor) -> Tensor:
        """The predicted classes of all episodes' queries: (E, Q)."""
        share = slice(get_rank(), self.num_episodes, get_world_size())
        keys = range(self.num_episodes)[share]
        drawn = [self.episodes.draw(self.seed, key) for key in keys]
        classes = torch.zeros(
            self.num_episodes,
            self.way * self.query,
            dtype=torch.long,
            device=features.device,
        )
        if drawn:
            classes[share] = classify_episodes(
                features,
                torch.stack(drawn).to(features.device),
                self.shot,
                self.chunk_size,
            ).flatten(1)
        return all_reduce_sum(classes)

    def _accuracy(self, classes: Tensor) -> tuple[float, float]:
        """Over the episodes, in percent, with half its interval."""
        own = torch.arange(self.way, device=classes.device)
        right = classes == own.repeat_interleave(self.query)
        return mean_and_interval(100 * right.double().mean(dim=1).cpu())


@LOOPS.register_module()
class EpisodeValLoop(_EpisodeLoop, ValLoop):
    """Validates by few-shot episodes, classified by class means.

    The metrics are ``episode/accuracy``, the mean over episodes in percent,
    and ``episode/ci95``, half of its 95 % confidence interval. All images go
    through the model once; the episodes are drawn from their features, the
    same at every validation, for every model and any number of processes. An
    image's class need not be one of the training's.

    Of a distiller the student is validated. Of an `OnlineDistiller` it is the
    leader, and besides there are ``episode/peer_1`` and so on of the others,
    and ``episode/ensemble`` of the mean of all peers' scores (negative squared
    distances), each with its ``_ci95``.

    MMEngine wants a ``val_evaluator``: an empty list is enough; metrics in it
    are computed, too.

    Papers: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175, section 3; Table 5 of Yang et al.,
    Multi-view Contrastive Learning for Online Knowledge Distillation, in the
    earlier, longer version of https://arxiv.org/abs/2006.04093.

    Args:
        runner, dataloader, evaluator, fp16: as of MMEngine's loop; the
            dataloader gives every image once, DefaultSampler in order.
        way: classes of an episode; 5 or 20 in the papers.
        shot, query: support and query images of each class.
        episodes: 1000 for Omniglot and 600 for miniImageNet in the papers.
        seed: of the episodes; it is not the run's, so that runs compare.
        chunk_size: episodes classified at a time, see `classify_episodes`.
    Raises:
        ValueError: if the dataset has too few classes, a class too few
            images, or images are missing.
    Config:
        val_evaluator=[],
        val_cfg=dict(type='EpisodeValLoop', way=5, shot=1, query=15,
                     episodes=600),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook',
                                           save_best='episode/accuracy'))
    """

    stage = 'val'


@LOOPS.register_module()
class EpisodeTestLoop(_EpisodeLoop, TestLoop):
    """Tests by few-shot episodes; everything as in `EpisodeValLoop`.

    Config:
        test_evaluator=[],
        test_cfg=dict(type='EpisodeTestLoop', way=20, shot=5, query=15,
                      episodes=1000)
    """

    stage = 'test'
