"""Datasets, transforms, and the indices that name their samples."""
from mmdistill.datasets.digits import Digits
from mmdistill.datasets.labels import dataset_labels
from mmdistill.datasets.sample_stream import (IndexedDataset, KeyedSampler,
                                              SampleKey)

__all__ = [
    'Digits',
    'IndexedDataset',
    'KeyedSampler',
    'SampleKey',
    'dataset_labels',
]
