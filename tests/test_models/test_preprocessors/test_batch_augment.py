"""Crops and flips of whole batches, as MMPretrain makes of one image."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from mmdistill.models.preprocessors.batch_augment import crop_and_flip
from mmdistill.registry import MODELS, TRANSFORMS
from mmdistill.structures import BatchedSamples

PACK = dict(type='PackInputs')


def preprocessor(**kwargs):
    return MODELS.build(dict(type='BatchAugmentPreprocessor', **kwargs))


# The distribution ----------------------------------------------------------
SIZE = 5

IMAGE = np.arange(1, 1 + 3 * SIZE * SIZE, dtype=np.uint8)

IMAGE = IMAGE.reshape(SIZE, SIZE, 3)

OUTCOMES = list(itertools.product(range(9), range(9), (0, 1)))


def transforms(flip):
    cfgs = (
        dict(type='RandomCrop', crop_size=SIZE, padding=4),
        dict(type='RandomFlip', prob=flip, direction='horizontal'),
        PACK,
    )
    return [TRANSFORMS.build(cfg) for cfg in cfgs]


def apply(chain):
    item = dict(img=IMAGE)
    for transform in chain:
        item = transform(item)
    return item['inputs']


def place(top, left, image):
    return top, left, SIZE, SIZE


@pytest.fixture(scope='module')
def expected():
    """MMPretrain's result for every place of the crop and flip, by hand."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    chains = [transforms(0.0), transforms(1.0)]
    results = []
    for top, left, flip in OUTCOMES:
        crop = chains[flip][0]
        crop.rand_crop_params = partial(place, top, left)
        results.append(apply(chains[flip]))
    results = torch.stack(results)
    assert len(results.flatten(1).unique(dim=0)) == len(OUTCOMES) == 162
    return results


def test_every_place_gives_mmpretrains_pixels(expected):
    top, left, flip = torch.tensor(OUTCOMES).T
    images = torch.from_numpy(IMAGE).permute(2, 0, 1)
    images = images.repeat(len(OUTCOMES), 1, 1, 1)
    assert torch.equal(
        crop_and_flip(images, 4, top, left, flip.bool()), expected
    )


def per_image(count):
    chain = transforms(0.5)
    return torch.stack([apply(chain) for _ in range(count)])


def whole_batches(count, seeded):
    images = torch.from_numpy(IMAGE).permute(2, 0, 1)
    seeds = None
    if seeded:  # as IndexedDataset makes them
        seeds = [
            hash((0, d, i)) for d in range(count // 90) for i in range(90)
        ]
        seeds = torch.tensor(seeds)
    return preprocessor().augment(images.repeat(count, 1, 1, 1), seeds)


@pytest.mark.parametrize(
    'draw, mean',
    [(per_image, 60), (lambda n: whole_batches(n, False), 200),
     (lambda n: whole_batches(n, True), 200)],
    ids=['per image', 'generator', 'seeds'])  # fmt: skip
def test_every_outcome_is_as_frequent(expected, draw, mean):
    """Each within 5.5 standard deviations of a 162nd of all draws."""
    images = draw(162 * mean)
    both = torch.cat([expected, images]).flatten(1)
    _, kind = both.unique(dim=0, return_inverse=True)
    counts = torch.bincount(kind)
    assert len(counts) == 162  # nothing else ever comes out
    counts = counts[kind[:162]] - 1
    assert counts.sum() == len(images)
    assert (counts - mean).abs().max() < 5.5 * mean**0.5


def test_probability_of_a_flip():
    images = torch.arange(2.0).view(1, 1, 1, 2).repeat(10000, 1, 1, 1)
    seeds = torch.arange(10000)
    for given in (None, seeds):
        flipped = preprocessor(crop_padding=0, flip_prob=0.2).augment(
            images, given
        )
        assert abs(flipped[:, 0, 0, 0].mean() - 0.2) < 0.02
        for prob in (0.0, 1.0):
            sure = preprocessor(crop_padding=0, flip_prob=prob)
            flipped = sure.augment(images, given)
            assert (flipped[:, 0, 0, 0] == prob).all()


def test_one_seed_one_outcome_in_any_batch():
    images = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    seeds = torch.randint(-(2**62), 2**62, (40,))
    augment = preprocessor().augment
    whole = augment(images, seeds)
    order = torch.randperm(40)
    parts = [augment(images[i], seeds[i]) for i in order.split(7)]
    assert torch.equal(torch.cat(parts), whole[order])
    assert not torch.equal(augment(images, seeds + 1), whole)


# Normalisation -------------------------------------------------------------
STATISTICS = dict(mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4])


def samples(count=6):
    return BatchedSamples(torch.arange(count), torch.arange(count) % 3)


@pytest.mark.parametrize('to_rgb', [False, True])
@pytest.mark.parametrize('kwargs', [STATISTICS, {}])
def test_testing_is_mmpretrains(kwargs, to_rgb):
    images = torch.randint(0, 256, (6, 3, 9, 9), dtype=torch.uint8)
    theirs = MODELS.build(
        dict(type='ClsDataPreprocessor', to_rgb=to_rgb, **kwargs)
    )
    ours = preprocessor(to_rgb=to_rgb, **kwargs)
    expected = theirs(dict(inputs=images))['inputs']
    for inputs in (images, list(images)):
        got = ours(dict(inputs=inputs, data_samples=samples()))
        assert torch.equal(got['inputs'], expected)
        assert got['data_samples'].gt_label.tolist() == [0, 1, 2, 0, 1, 2]
    # zeros pad the pixels, not what they become
    padded = ours(dict(inputs=torch.zeros_like(images)), True)['inputs']
    black = ours(dict(inputs=torch.zeros_like(images)))['inputs']
    assert torch.equal(padded, black)


def test_lists_are_augmented_too():
    images = torch.randint(0, 256, (6, 3, 9, 9), dtype=torch.uint8)
    results = []
    for inputs in (images, list(images)):
        torch.manual_seed(0)
        results.append(preprocessor()(dict(inputs=inputs), True)['inputs'])
    assert torch.equal(*results)
    assert not torch.equal(results[0], images.float())


def test_mixup_on_top():
    ours = preprocessor(
        num_classes=3,
        batch_augments=dict(augments=dict(type='Mixup', alpha=1.0)),
    )
    images = torch.randint(0, 256, (6, 3, 9, 9), dtype=torch.uint8)
    got = ours(dict(inputs=images, data_samples=samples()), True)
    scores = torch.stack([s.gt_score for s in got['data_samples']])
    assert scores.shape == (6, 3)
    assert torch.allclose(scores.sum(1), torch.ones(6))
    assert ((scores > 0).sum(1) == 2).any()


@pytest.mark.parametrize(
    'kwargs', [dict(crop_padding=-1), dict(flip_prob=1.5)]
)
def test_bad_preprocessor(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        preprocessor(**kwargs)
