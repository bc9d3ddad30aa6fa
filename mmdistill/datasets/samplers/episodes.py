from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdistill.utils.text import shown


class Episodes:
    """Draws few-shot episodes: some classes, and some samples of each.

    An episode depends on nothing but its key. Unlabeled samples (-1) are in
    none.

    Paper: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, section 4.1.

    Args:
        labels: of all samples; None if the dataset does not tell.
        way: classes of an episode.
        shot: support samples of each class, which are given with their label.
        query: samples of each class that are to be classified.
        classes: names of the classes, for error messages.
        where: the config keys that way, shot and query belong to.
    Shape:
        labels: (M,) int64.
    Raises:
        ValueError: if there are fewer classes than ``way``, or a class has
            fewer than shot + query samples; it is named.
    """

    def __init__(
        self,
        labels: Tensor | None,
        way: int,
        shot: int,
        query: int,
        classes: Sequence[str] | None = None,
        where: str = 'train_dataloader.sampler',
    ) -> None:
        if way < 2 or shot < 1 or query < 1:
            raise ValueError(
                f'an episode has at least way=2, shot=1 and query=1, got '
                f'way={way}, shot={shot}, query={query}; change {where}'
            )
        if labels is None or not labels.ge(0).any():
            raise ValueError(
                f'{where} draws episodes of classes, but the dataset gives no '
                'label; use a labelled dataset with one label an image'
            )
        self.way = way
        self.size = shot + query
        found, counts = labels[labels >= 0].unique(return_counts=True)
        if way > len(found):
            raise ValueError(
                f'{where}.way={way} asks for more classes than the dataset '
                f'has, {len(found)}; lower it'
            )
        few = [
            f'{classes[label] if classes else label} has {count}'
            for label, count in zip(
                found.tolist(), counts.tolist(), strict=True
            )
            if count < self.size
        ]
        if few:
            raise ValueError(
                f'{where} draws shot={shot} and query={query} images of a '
                f'class, {self.size} together, but {len(few)} of '
                f'{len(found)} classes have fewer '
                f'({shown(few)}); lower shot or query, or '
                'leave these classes out of the dataset'
            )
        self._counts = counts
        self._by_class = labels.argsort(stable=True)[(labels < 0).sum() :]
        self._starts = counts.cumsum(0) - counts

    def draw(self, *key: int) -> Tensor:
        """The samples of one episode, by class; the first ``shot`` support.

        Args:
            key: integers, such as seed, epoch and the episode's number.
        Shape:
            returns (way, shot + query) indices.
        """
        generator = torch.Generator().manual_seed(hash(key) % 2**63)
        chosen = torch.randperm(len(self._counts), generator=generator)
        chosen = chosen[: self.way]
        counts = self._counts[chosen, None]
        lots = torch.rand(self.way, int(counts.max()), generator=generator)
        lots[torch.arange(lots.shape[1]) >= counts] = -1  # no such sample
        place = lots.topk(self.size, dim=1).indices
        return self._by_class[self._starts[chosen, None] + place]
