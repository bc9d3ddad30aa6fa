"""Datasets, transforms, samplers, and sample indices."""

import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):
    # mmpretrain prints a line for every optional package it cannot import.
    import mmpretrain.datasets  # noqa: F401

from mmdistill.datasets.coco_detection import CocoDetection
from mmdistill.datasets.digits import Digits
from mmdistill.datasets.digits_canvas import make_digits_canvas
from mmdistill.datasets.image_list import ImageNetSubset
from mmdistill.datasets.labels import dataset_labels
from mmdistill.datasets.mini_imagenet import MiniImageNet
from mmdistill.datasets.omniglot import Omniglot
from mmdistill.datasets.own_images import OwnImages
from mmdistill.datasets.paired_images import PairedImages
from mmdistill.datasets.sample_stream import (
    IndexedDataset,
    KeyedSampler,
    SampleKey,
)
from mmdistill.datasets.samplers import Episodes, EpisodeSampler
from mmdistill.datasets.stl10 import STL10
from mmdistill.datasets.tensor_dataset import (
    ImageTensorDataset,
    batch_collate,
)
from mmdistill.datasets.tiny_imagenet import TinyImageNet
from mmdistill.datasets.transforms import (
    LoadInstances,
    LoadRGBImage,
    LoadSemanticMap,
    MultiCrop,
    PackDenseInputs,
    PackPairInputs,
    SharedTransforms,
    TeacherView,
    VisionTransforms,
)
from mmdistill.datasets.voc import VOCDetection, VOCSegmentation

__all__ = [
    'STL10',
    'CocoDetection',
    'Digits',
    'EpisodeSampler',
    'Episodes',
    'ImageNetSubset',
    'ImageTensorDataset',
    'IndexedDataset',
    'KeyedSampler',
    'LoadInstances',
    'LoadRGBImage',
    'LoadSemanticMap',
    'MiniImageNet',
    'MultiCrop',
    'Omniglot',
    'OwnImages',
    'PackPairInputs',
    'PackDenseInputs',
    'PairedImages',
    'SampleKey',
    'SharedTransforms',
    'TeacherView',
    'TinyImageNet',
    'VOCDetection',
    'VOCSegmentation',
    'VisionTransforms',
    'batch_collate',
    'dataset_labels',
    'make_digits_canvas',
]
