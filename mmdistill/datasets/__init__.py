"""Datasets, transforms, and the indices that name their samples."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    # It prints which optional packages it did not find.
    import mmpretrain.datasets  # noqa: F401

from mmdistill.datasets.digits import Digits
from mmdistill.datasets.image_list import ImageNetSubset
from mmdistill.datasets.labels import dataset_labels
from mmdistill.datasets.mini_imagenet import MiniImageNet
from mmdistill.datasets.omniglot import Omniglot
from mmdistill.datasets.sample_stream import (
    IndexedDataset,
    KeyedSampler,
    SampleKey,
)
from mmdistill.datasets.samplers import Episodes, EpisodeSampler
from mmdistill.datasets.tensor_dataset import (
    ImageTensorDataset,
    batch_collate,
)
from mmdistill.datasets.transforms import (
    MultiCrop,
    PackPairInputs,
    TeacherView,
)

__all__ = [
    'Digits',
    'EpisodeSampler',
    'Episodes',
    'ImageNetSubset',
    'ImageTensorDataset',
    'IndexedDataset',
    'KeyedSampler',
    'MiniImageNet',
    'MultiCrop',
    'Omniglot',
    'PackPairInputs',
    'SampleKey',
    'TeacherView',
    'batch_collate',
    'dataset_labels',
]
