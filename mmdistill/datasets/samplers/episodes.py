from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmdistill.utils.text import shown


class Episodes:
    """Draw few-shot episodes: random classes, and random samples of each.

    An episode depends on its key only. Unlabeled samples (-1) are not used.

    Paper: Vinyals et al., Matching Networks for One Shot Learning, NeurIPS
    2016, https://arxiv.org/abs/1606.04080, section 4.1.

    Args:
        labels: labels of all samples; None if the dataset has none.
        way: classes per episode.
        shot: support samples per class.
        query: query samples per class, which are to be classified.
        classes: names of the classes, for error messages.
        where: config key of way, shot and query, for error messages.
    Shape:
        labels: (M,) int64.
    Raises:
        ValueError: if there are fewer classes than ``way``, or a class (named
            in the message) has fewer than shot + query samples.
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
                'label; use a labeled dataset with one label an image'
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
        """The samples of one episode, by class, support samples first.

        Args:
            key: integers, such as seed, epoch and episode number.
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
