"""Multi-crop in a data pipeline, on images of any size."""

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import FUNCTIONS
from mmpretrain.datasets import BaseDataset
from torch.utils.data import DataLoader

from mmdistill.datasets import IndexedDataset
from mmdistill.datasets.sample_stream import seeded
from mmdistill.models.distillers.preprocessor import ViewsPreprocessor
from mmdistill.registry import DATASETS, MODELS, TRANSFORMS

FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')
JITTER = dict(type='ColorJitter', brightness=0.4, contrast=0.4)
GREY = dict(
    type='RandomGrayscale',
    prob=0.5,
    keep_channels=True,
    channel_weights=(0.114, 0.587, 0.2989),
)
BLUR = dict(type='GaussianBlur', prob=0.5, magnitude_range=(0.1, 2.0),
            magnitude_std='inf')  # fmt: skip
PACK = dict(type='PackInputs')
SMALL = dict(num_local=3, global_size=32, local_size=16)
SIZES = [(37, 50), (32, 32), (20, 61), (300, 211)]


def crops(**kwargs):
    return TRANSFORMS.build(dict(type='MultiCrop', **{**SMALL, **kwargs}))


def image(size=(37, 50), channels=3, seed=0):
    draw = np.random.RandomState(seed)
    return draw.randint(0, 256, (*size, channels)).astype(np.uint8)


@DATASETS.register_module()
class ImagesOfManySizes(BaseDataset):
    """Twelve random images, three of each of the four sizes."""

    def load_data_list(self):
        return [
            dict(img=image(SIZES[i % 4], seed=i), gt_label=i % 10)
            for i in range(12)
        ]


def dataset(further=(FLIP, JITTER, GREY, BLUR)):
    return DATASETS.build(
        dict(
            type='ImagesOfManySizes',
            ann_file='',
            pipeline=[
                dict(
                    type='MultiCrop',
                    global_transforms=list(further),
                    local_transforms=list(further),
                    **SMALL,
                ),
                PACK,
            ],
        )
    )


def test_the_papers_are_the_defaults():
    views = TRANSFORMS.build(dict(type='MultiCrop'))(dict(img=image()))['img']
    assert [view.shape for view in views] == (
        2 * [(224, 224, 3)] + 6 * [(96, 96, 3)]
    )


@pytest.mark.parametrize('size', SIZES)
def test_it_is_mmpretrains_views(size):
    """Random resized crops, then the group's transforms, global first."""
    ours = crops(
        global_transforms=[FLIP, JITTER],
        local_transforms=[FLIP, GREY],
        ratio=(0.5, 2.0),
    )
    pipelines = [
        [
            dict(
                type='RandomResizedCrop',
                scale=scale,
                crop_ratio_range=share,
                aspect_ratio_range=(0.5, 2.0),
            ),
            FLIP,
            last,
        ]
        for scale, share, last in (
            (32, (0.14, 1.0), JITTER),
            (16, (0.05, 0.14), GREY),
        )
    ]
    theirs = TRANSFORMS.build(
        dict(type='MultiView', num_views=[2, 3], transforms=pipelines)
    )
    results = []
    for transform in (ours, theirs):
        with seeded(3):
            item = transform(dict(img=image(size), gt_label=1))
        assert item['gt_label'] == 1
        results.append(TRANSFORMS.build(PACK)(item)['inputs'])
    shapes = [tuple(view.shape) for view in results[0]]
    assert shapes == 2 * [(3, 32, 32)] + 3 * [(3, 16, 16)]
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(results[0][0], results[0][1])


def test_a_list_of_transforms_for_each_crop():
    black = dict(type='Solarize', thr=0, prob=1.0)  # inverts everything
    cut = dict(global_scale=(1.0, 1.0), local_scale=(1.0, 1.0), ratio=(1, 1))
    given = image((32, 32))
    first, second, *local = crops(
        **cut, global_transforms=[[], [black]], local_transforms=[black]
    )(dict(img=given))['img']
    assert np.array_equal(first, given)
    assert np.array_equal(second, 255 - given)
    assert len(local) == 3
    for view in local:
        assert np.array_equal(view, local[0])


def same(one, other):
    return all(
        torch.equal(a, b)
        for a, b in zip(one['inputs'], other['inputs'], strict=True)
    )


def test_crops_are_a_function_of_seed_and_sample():
    """Every generator that a transform uses is the sample's own."""
    indexed = IndexedDataset(dataset(), seed=7)
    forwards = [indexed[i] for i in range(12)]
    for i in reversed(range(12)):
        assert same(indexed[i], forwards[i])
    loader = DataLoader(
        indexed, batch_size=None, num_workers=2, sampler=range(12)
    )
    assert all(map(same, loader, forwards))
    other = IndexedDataset(dataset(), seed=8)
    assert not any(same(other[i], forwards[i]) for i in range(12))


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_collated_and_normalised(collate, channels):
    """A batch of images of four sizes becomes one tensor a view."""
    transform, pack = crops(global_transforms=[FLIP]), TRANSFORMS.build(PACK)
    items = [
        pack(transform(dict(img=image(size, channels), gt_label=3)))
        for size in SIZES
    ]
    assert FUNCTIONS.get(collate.__name__) is collate
    single = MODELS.build(
        dict(type='ClsDataPreprocessor', mean=[100.0], std=[50.0])
    )
    batch = ViewsPreprocessor(single)(collate(items), True)
    assert [tuple(view.shape) for view in batch['inputs']] == (
        2 * [(4, channels, 32, 32)] + 3 * [(4, channels, 16, 16)]
    )
    for number, view in enumerate(batch['inputs']):
        for row, item in zip(view, items, strict=True):
            expected = (item['inputs'][number].float() - 100) / 50
            torch.testing.assert_close(row, expected)
    assert [int(s.gt_label) for s in batch['data_samples']] == [3] * 4


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_global=1, num_local=0), 'num_global=1 and num_local=0'),
        (dict(num_global=0), 'num_global=0 and num_local=3'),
        (dict(num_local=-1), 'num_local=-1'),
        (dict(local_size=32), 'local_size=32 and global_size=32'),
        (dict(local_size=0), 'local_size.*got 0'),
        (dict(global_scale=(1.0, 0.14)), r'global_scale.*got \(1.0, 0.14\)'),
        (dict(global_scale=(0.5, 1.5)), 'global_scale.*at most 1'),
        (dict(local_scale=(0.0, 0.1)), 'local_scale.*above 0'),
        (dict(local_scale=(0.1,)), r'local_scale.*got \(0.1,\)'),
        (dict(global_scale=(0.1, 0.2), local_scale=(0.1, 0.3)),
         r'local_scale=\(0.1, 0.3\) and global_scale=\(0.1, 0.2\)'),
        (dict(ratio=(2.0, 0.5)), r'ratio.*got \(2.0, 0.5\)'),
        (dict(global_transforms=[[FLIP]]),
         'global_transforms.* 2 lists.*got 1 lists'),
        (dict(local_transforms=[[FLIP], FLIP, FLIP]),
         'local_transforms.* 3 lists.*got 1 lists among 3 items'),
    ])  # fmt: skip
def test_bad_crops(kwargs, message):
    with pytest.raises(ValueError, match=message):
        crops(**kwargs)
