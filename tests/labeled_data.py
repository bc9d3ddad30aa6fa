"""A small dataset with labels, and episodes of it."""

import numpy as np
from torch.utils.data import Dataset

from mmdistill.registry import DATA_SAMPLERS

WAY, SHOT, QUERY = 3, 2, 4

SIZE = WAY * (SHOT + QUERY)


class Labelled(Dataset):
    """Ten classes of 6 to 15 samples, mixed, and what each sample draws."""

    targets = (
        np.random.RandomState(0)
        .permutation([c for c in range(10) for _ in range(6 + c)])
        .tolist()
    )
    metainfo = dict(classes=tuple('abcdefghij'))

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return dict(
            index=int(i), label=self.targets[i], drawn=float(np.random.rand())
        )


def sampler(dataset=None, **kwargs):
    cfg = dict(type='EpisodeSampler', way=WAY, shot=SHOT, query=QUERY,
               episodes=5, seed=0)  # fmt: skip
    return DATA_SAMPLERS.build(
        cfg | kwargs, default_args=dict(dataset=dataset or Labelled())
    )
