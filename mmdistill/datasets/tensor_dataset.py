"""A dataset in one tensor, from which whole batches are indexed."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate, force_full_init
from mmengine.registry import FUNCTIONS
from mmpretrain.datasets import BaseDataset, PackInputs
from torch import Tensor
from torch.utils.data import Dataset

from mmdistill.registry import DATASETS, TRANSFORMS
from mmdistill.structures import BatchedSamples


@DATASETS.register_module()
class ImageTensorDataset(BaseDataset):
    """The images of another dataset as one uint8 tensor in memory.

    A dataloader with ``collate_fn=dict(type='batch_collate')`` gets whole
    batches; crop, flip and normalization are left to
    ``BatchAugmentPreprocessor``. It is meant for small images, because the
    tensor is kept in memory. Training fetches batches in the training process
    for any ``num_workers``, because sending a batch from a worker takes longer
    (`index_samples`); other workers share the tensor.

    Args:
        dataset: a dataset or its config, whose items hold ``img`` or
            ``img_path``. Its pipeline runs once; it may load and resize, but
            must not pack or use random transforms.
        pipeline: transforms of single images. Whole batches need
            ``PackInputs`` alone; with further transforms (test-time
            augmentation) images are prepared one by one.
        metainfo, indices, classes, ...: as in MMPretrain's BaseDataset.
    Shape:
        images: (N, C, H, W) uint8; labels: (N,) int64, -1 where unknown, or
        None if there are none.
    Raises:
        ValueError: if images differ in size, are not uint8 or have several
            labels, or if the inner pipeline packs or is random.
    Config:
        dataset=dict(
            type='ImageTensorDataset',
            dataset=dict(type='CIFAR100', data_root='data/cifar100'),
            pipeline=[dict(type='PackInputs')])
    """

    def __init__(
        self,
        dataset: dict | Dataset,
        pipeline: Sequence = (dict(type='PackInputs'),),
        **kwargs: Any,
    ) -> None:
        self._source = dataset
        super().__init__(
            ann_file='', pipeline=pipeline, serialize_data=False, **kwargs
        )

    def load_data_list(self) -> list[int]:
        """Read all images; the data list holds their rows in the tensor."""
        dataset, self._source = self._source, None  # needed only here
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        _check_pipeline(dataset)
        for key, value in getattr(dataset, 'metainfo', {}).items():
            self._metainfo.setdefault(key, value)
        self.images, self.labels = _read(dataset)
        return list(range(len(self.images)))

    def full_init(self) -> None:
        """Read the images, unless that is done already."""
        if not self._fully_initialized:
            super().full_init()
            self._keep()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep the images at these indices, or the first or last n."""
        super().get_subset_(indices)
        self._keep()

    def get_subset(self, indices: Sequence[int] | int) -> ImageTensorDataset:
        """A dataset with only the images at these indices."""
        subset = copy.copy(self)
        subset.get_subset_(indices)
        return subset

    def _keep(self) -> None:
        """Reduce the tensors to the rows that are left in ``data_list``."""
        if self.data_list != list(range(len(self.images))):
            rows = torch.as_tensor(self.data_list, dtype=torch.long)
            self.images = _shared(self.images[rows])
            if self.labels is not None:
                self.labels = self.labels[rows]
            self.data_list = list(range(len(rows)))

    @property
    def fetches_batches(self) -> bool:
        """Whether whole batches are fetched, which needs no randomness."""
        only = self.pipeline.transforms
        return (
            len(only) == 1
            and type(only[0]) is PackInputs
            and only[0].input_key == 'img'
            and not only[0].algorithm_keys
        )

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """A copy of one image, its label and its index."""
        index = range(len(self))[idx]
        image = self.images[index].permute(1, 2, 0).numpy().copy()
        info = dict(img=image, sample_idx=index)
        if self.labels is not None:
            info['gt_label'] = int(self.labels[index])
        return info

    @force_full_init
    def get_gt_labels(self) -> np.ndarray:
        """Labels of all images."""
        return self.labels.numpy()

    def __getitems__(self, indices: Sequence[int]) -> ImageBatch | list:
        if not self.fetches_batches:
            return [self[i] for i in indices]
        return ImageBatch(self, indices)

    def extra_repr(self) -> list[str]:
        """The lines that ``print`` adds to those of the base class."""
        return [f'Images: \t{tuple(self.images.shape)}, uint8']


class ImageBatch:
    """A batch of an `ImageTensorDataset` that is not gathered yet.

    It iterates over the items that the dataset would return one by one, so
    every collate function accepts it; ``batch_collate`` uses it as a whole.
    """

    def __init__(
        self,
        dataset: ImageTensorDataset,
        indices: Sequence[int],
        sample_idx: Sequence[int] | None = None,
        seed: Sequence[int] | None = None,
    ) -> None:
        self.dataset = dataset
        self.indices = indices
        self.sample_idx = indices if sample_idx is None else sample_idx
        self.seed = seed

    def stamp(
        self, sample_idx: Sequence[int], seed: Sequence[int] | None
    ) -> ImageBatch:
        """A copy with other sample indices, and a seed per image."""
        return ImageBatch(self.dataset, self.indices, sample_idx, seed)

    def collate(self) -> dict:
        """The batch: ``inputs`` (N, C, H, W) uint8, and ``data_samples``."""
        rows = index = _int64(self.indices)
        if self.sample_idx is not self.indices:
            index = _int64(self.sample_idx)
        labels = self.dataset.labels
        samples = BatchedSamples(
            index,
            None if labels is None else labels[rows],
            None if self.seed is None else _int64(self.seed),
        )
        images = self.dataset.images.index_select(0, rows)
        return dict(inputs=images, data_samples=samples)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> dict:
        return {key: value[i] for key, value in self._items.items()}

    def __iter__(self) -> Iterator[dict]:
        return (self[i] for i in range(len(self)))

    @cached_property
    def _items(self) -> dict:
        return self.collate()


@FUNCTIONS.register_module()
def batch_collate(items: ImageBatch | Sequence) -> Any:
    """Collate a whole batch at once; other items by ``default_collate``.

    Config:
        train_dataloader=dict(collate_fn=dict(type='batch_collate'), ...)
    """
    if isinstance(items, ImageBatch):
        return items.collate()
    return default_collate(items)


def _int64(values: Sequence[int]) -> Tensor:
    # NumPy converts a list six times as fast as torch.
    return torch.from_numpy(np.asarray(values, np.int64))


def _read(dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """All images, in shared memory if there is room, and all labels."""
    images, labels, load = None, [], None
    for i in range(len(dataset)):
        item = dataset[i]
        if 'img' not in item:
            if 'img_path' not in item:
                raise ValueError(
                    f'item {i} of {type(dataset).__name__} has neither img '
                    f'nor img_path, only {sorted(item)}; leave PackInputs '
                    'out of the pipeline inside ImageTensorDataset'
                )
            load = load or TRANSFORMS.build(dict(type='LoadImageFromFile'))
            item = load(item)
        image = np.atleast_3d(item['img'])  # gray images may be 2-D
        if images is None:
            h, w, c = image.shape
            images = torch.empty(len(dataset), c, h, w, dtype=torch.uint8)
            images = _shared(images)
            pixels = images.numpy().transpose(0, 2, 3, 1)
        if image.dtype != np.uint8:
            raise ValueError(
                f'ImageTensorDataset holds uint8 images, but image {i} of '
                f'{type(dataset).__name__} is {image.dtype}; leave the '
                'normalization to data_preprocessor'
            )
        if image.shape != pixels.shape[1:]:
            raise ValueError(
                'ImageTensorDataset needs images of one size, but image 0 '
                f'of {type(dataset).__name__} is {pixels.shape[1:]} (height, '
                f'width, channels) and image {i} is {image.shape}; add '
                "dict(type='Resize', scale=(w, h)) to the pipeline inside"
            )
        pixels[i] = image
        labels.append(item.get('gt_label'))
    if images is None:
        return torch.empty(0, 1, 1, 1, dtype=torch.uint8), None
    if all(label is None for label in labels):
        return images, None
    labels = [-1 if label is None else label for label in labels]
    if any(np.size(label) != 1 for label in labels):
        raise ValueError(
            'ImageTensorDataset takes one label an image, but '
            f'{type(dataset).__name__} has images with several'
        )
    return images, torch.tensor([int(label) for label in labels])


def _shared(images: Tensor) -> Tensor:
    """Move to shared memory, so that spawned workers do not copy it."""
    try:
        return images.share_memory_()
    except RuntimeError:  # /dev/shm is small in many containers
        return images


def _check_pipeline(dataset: Dataset) -> None:
    """Reject random transforms: one draw would be frozen for all epochs."""
    pipeline = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    for transform in pipeline:
        # mmcv lists the methods marked with cache_randomness here.
        if getattr(transform, '_methods_with_randomness', None):
            raise ValueError(
                f'{type(transform).__name__} in the pipeline inside '
                'ImageTensorDataset would draw only once, when the images '
                'are read; remove it and let data_preprocessor='
                "dict(type='BatchAugmentPreprocessor', ...) crop and flip"
            )
