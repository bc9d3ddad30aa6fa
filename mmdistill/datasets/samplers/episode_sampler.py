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
    """Gives few-shot episodes one after the other; a batch is one episode.

    The order within an episode is what `PrototypicalLoss` reads: all support
    images, then all query images, each class by class. An episode is a
    function of (seed, epoch, its number): worker count, restarts and the
    number of processes do not matter. Each process gets other episodes.

    Paper: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, section 4.1; Snell et al., Prototypical Networks for Few-shot
    Learning, NeurIPS 2017, algorithm 1.

    Args:
        dataset: the dataloader's, labeled; MMEngine hands it over.
        way: classes of an episode.
        shot, query: support and query images of each class.
        episodes: of an epoch, all processes together; rounded up to a
            multiple of their number.
        seed: the run's when None.
    Raises:
        ValueError: if the dataset has too few classes, or a class too few
            images; it is named.
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
            # Augmented anew in each episode, not in each epoch alone.
            draw = self.epoch * self.num_episodes + number
            for part in (drawn[:, : self.shot], drawn[:, self.shot :]):
                for index in part.flatten().tolist():
                    yield SampleKey(index, draw)

    def __len__(self) -> int:
        """Images that this process gives in an epoch."""
        own = self.num_episodes // self.world_size
        return own * self._episodes.way * self._episodes.size

    def set_epoch(self, epoch: int) -> None:
        """Give the episodes of another epoch."""
        self.epoch = epoch
