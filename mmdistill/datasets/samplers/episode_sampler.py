from __future__ import annotations

from collections.abc import Iterator

from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Dataset, Sampler

from mmdistill.datasets.labels import dataset_labels
from mmdistill.datasets.sample_stream import SampleKey
from mmdistill.datasets.samplers.episodes import Episodes
from mmdistill.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpisodeSampler(Sampler):
    """Yield few-shot episodes; each batch is one episode.

    An episode has the order that `PrototypicalLoss` expects: all support
    images, then all query images, each grouped by class. An episode is a
    function of (seed, epoch, episode number) and does not depend on worker
    count, restarts or the number of processes. Processes get different
    episodes.

    Papers: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, https://arxiv.org/abs/1606.04080, section 4.1; Snell et al.,
    Prototypical Networks for Few-shot Learning, NeurIPS 2017,
    https://arxiv.org/abs/1703.05175, algorithm 1.

    Args:
        dataset: the labeled dataset of the dataloader; MMEngine passes it.
        way: classes per episode.
        shot, query: support and query images per class.
        episodes: episodes per epoch over all processes, rounded up to a
            multiple of their number.
        seed: random seed; None for the seed of the run.
    Raises:
        ValueError: if the dataset has too few classes, or a class (named in
            the message) too few images.
    Config:
        train_dataloader=dict(
            batch_size=60 * (1 + 5),
            sampler=dict(type='EpisodeSampler', way=60, shot=1, query=5,
                         episodes=100))
    """

    def __init__(
        self,
        dataset: Dataset,
        way: int,
        shot: int,
        query: int,
        episodes: int = 100,
        seed: int | None = None,
    ) -> None:
        if episodes < 1:
            raise ValueError(
                f'EpisodeSampler needs episodes >= 1, got {episodes}'
            )
        self.rank, self.world_size = get_dist_info()
        self.shot = shot
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.num_episodes = -(-episodes // self.world_size) * self.world_size
        self._episodes = Episodes(
            dataset_labels(dataset),
            way,
            shot,
            query,
            getattr(dataset, 'metainfo', {}).get('classes'),
        )

    def __iter__(self) -> Iterator[SampleKey]:
        for number in range(self.rank, self.num_episodes, self.world_size):
            drawn = self._episodes.draw(self.seed, self.epoch, number)
            # One draw per episode, so each episode is augmented anew.
            draw = self.epoch * self.num_episodes + number
            for part in (drawn[:, : self.shot], drawn[:, self.shot :]):
                for index in part.flatten().tolist():
                    yield SampleKey(index, draw)

    def __len__(self) -> int:
        """Number of images that this process yields per epoch."""
        own = self.num_episodes // self.world_size
        return own * self._episodes.way * self._episodes.size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which selects the episodes."""
        self.epoch = epoch
