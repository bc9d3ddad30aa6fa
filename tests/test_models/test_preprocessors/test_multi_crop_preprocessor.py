"""Views drawn on the device are those of the per-image pipeline."""

from functools import partial

import pytest
import torch
from scipy.stats import kstest
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)

from mmdistill.models.distillers.preprocessor import (
    TargetsPreprocessor,
    ViewsPreprocessor,
)
from mmdistill.models.preprocessors.batch_ops import gaussian_blur
from mmdistill.registry import MODELS
from mmdistill.structures import BatchedSamples

STATISTICS = dict(mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4])

EVERYTHING = dict(
    brightness=0.4,
    contrast=0.4,
    saturation=0.2,
    grayscale_prob=0.2,
    blur_prob=0.5,
    solarize_prob=0.2,
)


def build(name, **kwargs):
    return MODELS.build(dict(type=f'{name}Preprocessor', **kwargs))


multi_crop = partial(build, 'MultiCrop')

two_views = partial(build, 'BatchAugment', num_views=2)


def uint8(count=6, size=(32, 32), channels=3):
    return torch.randint(0, 256, (count, channels, *size), dtype=torch.uint8)


def batch(count=6, seeded=True, **kwargs):
    index = torch.arange(count)
    seeds = torch.randint(-(2**62), 2**62, (count,)) if seeded else None
    samples = BatchedSamples(index, index % 3, seeds)
    return dict(inputs=uint8(count, **kwargs), data_samples=samples)


def test_draws_are_uniform_and_independent():
    seeds = torch.tensor([hash((3, 1, i)) for i in range(2000)])
    draws = multi_crop(num_local=0)._draw(2000, seeds, 'cpu').flatten(0, 1)
    assert draws.min() >= 0 and draws.max() < 1
    assert min(kstest(row, 'uniform').pvalue for row in draws.numpy()) > 1e-5
    correlation = torch.corrcoef(draws) - torch.eye(len(draws))
    assert correlation.abs().max() < 6 / 2000**0.5


# Views ---------------------------------------------------------------------
MAKERS = [two_views, multi_crop, partial(multi_crop, **EVERYTHING)]

IDS = ['two views', 'crops', 'everything']

every_maker = pytest.mark.parametrize('make', MAKERS, ids=IDS)


def test_shapes_and_order():
    made = multi_crop(num_local=4, **STATISTICS)(batch(), True)
    assert [tuple(view.shape) for view in made['inputs']] == (
        2 * [(6, 3, 32, 32)] + 4 * [(6, 3, 16, 16)]
    )
    assert made['data_samples'].gt_label.tolist() == [0, 1, 2, 0, 1, 2]
    assert all(view.dtype == torch.float32 for view in made['inputs'])
    twice = two_views(**STATISTICS)(batch(), True)['inputs']
    assert [tuple(view.shape) for view in twice] == 2 * [(6, 3, 32, 32)]
    # enlarged, of one channel, and without a local crop
    grey = multi_crop(num_global=3, num_local=0, global_size=20)
    grey = grey(batch(size=(8, 8), channels=1), True)['inputs']
    assert [tuple(view.shape) for view in grey] == 3 * [(6, 1, 20, 20)]


@every_maker
def test_normalised_as_mmpretrain_does(make):
    data = batch()
    plain, ours = make(), make(**STATISTICS, to_rgb=True)
    theirs = build('ClsData', **STATISTICS, to_rgb=True)
    # to_rgb turns the channels, which the colours' weights have to know
    turned = {**data, 'inputs': data['inputs'].flip(1)}
    for view, pixels in zip(
        ours(turned, True)['inputs'], plain(data, True)['inputs'], strict=True
    ):
        expected = theirs(dict(inputs=pixels.flip(1)))['inputs']
        torch.testing.assert_close(view, expected, atol=1e-4, rtol=1e-5)
    for inputs in (data['inputs'], list(data['inputs'])):
        tested = ours({**data, 'inputs': inputs})
        assert torch.equal(
            tested['inputs'], theirs(dict(inputs=data['inputs']))['inputs']
        )
        assert tested['data_samples'].gt_label.shape == (6,)


@every_maker
def test_one_seed_one_outcome_in_any_batch(make):
    data = batch(40)
    images, seeds = data['inputs'], data['data_samples'].seed
    preprocessor = make()
    whole = preprocessor.views(images, seeds)
    order = torch.randperm(40)
    parts = [preprocessor.views(images[i], seeds[i]) for i in order.split(7)]
    for number, view in enumerate(whole):
        joined = torch.cat([part[number] for part in parts])
        assert torch.equal(joined, view[order])
    other = preprocessor.views(images, seeds + 1)
    for pair in ((whole[0], whole[1]), (whole[0], other[0])):
        equal = (pair[0] == pair[1]).flatten(1).all(1)
        assert equal.sum() < 4
    one = two_views(num_views=1)
    if make is two_views:  # the first view is the only one of one
        assert torch.equal(whole[0], one.augment(images, seeds))


@every_maker
def test_without_seeds_the_generator_decides(make):
    data, preprocessor = batch(seeded=False), make()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(preprocessor(data, True)['inputs'])
    for first, again, other in zip(*results, strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@every_maker
def test_nothing_waits_for_the_device(make):
    """No value is ever looked at, so no tensor has to have any."""
    preprocessor = make(**STATISTICS)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        # a number of images that no other test has: shapes are remembered
        images = mode.from_tensor(uint8(11))
        made = preprocessor(dict(inputs=images), True)['inputs']
        assert made[0].shape == (11, 3, 32, 32)
        with pytest.raises(DataDependentOutputException):
            made[0].sum().item()


def test_two_views_are_independent():
    """Both places and mirrorings agree by chance only: once in 162."""
    image = torch.arange(1, 26, dtype=torch.uint8).view(1, 1, 5, 5)
    count = 162 * 200
    seeds = torch.tensor([hash((0, 0, i)) for i in range(count)])
    for given in (seeds, None):
        views = two_views().views(image.repeat(count, 1, 1, 1), given)
        equal = (views[0] == views[1]).flatten(1).all(1).sum()
        assert abs(equal - 200) < 5 * 200**0.5


def test_options_leave_the_crops_alone():
    """Switching one on changes what it is for, and nothing else."""
    data = batch(50)
    images, seeds = data['inputs'], data['data_samples'].seed
    plain = multi_crop().views(images, seeds)
    probs = [1.0, 0.0, 0.5, 0, 0, 0, 0, 0]
    solarized = multi_crop(solarize_prob=probs).views(images, seeds)
    inverse = torch.where(plain[0] >= 128, 255 - plain[0], plain[0])
    assert torch.equal(solarized[0], inverse)
    assert torch.equal(solarized[1], plain[1])
    changed = (solarized[2] != plain[2]).flatten(1).any(1)
    assert 10 < changed.sum() < 40

    grey = multi_crop(grayscale_prob=probs).views(images, seeds)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    luminance = (plain[0] * weights).sum(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(grey[0], luminance)
    torch.testing.assert_close(grey[1], plain[1])

    blurred = multi_crop(blur_prob=probs, blur_sigma=(1, 1))
    blurred = blurred.views(images, seeds)
    expected = gaussian_blur(plain[0], torch.ones(50))
    torch.testing.assert_close(blurred[0], expected)
    assert torch.equal(blurred[1], plain[1])

    straight = multi_crop(flip_prob=0).views(images, seeds)
    mirrored = multi_crop(flip_prob=1).views(images, seeds)
    for one, other in zip(straight, mirrored, strict=True):
        assert torch.equal(one.flip(3), other)


def test_brightness_is_drawn_from_its_range():
    """Factors, read off grey pixels, are uniform from 0.6 to 1.4."""
    images = torch.full((4000, 3, 4, 4), 100, dtype=torch.uint8)
    seeds = torch.tensor([hash((0, 0, i)) for i in range(4000)])
    views = multi_crop(
        num_local=0, global_size=2, brightness=0.4, jitter_prob=[1.0, 0.25]
    ).views(images, seeds)
    factors = (views[0][:, 0, 0, 0] / 100 - 0.6) / 0.8
    assert kstest(factors.numpy(), 'uniform').pvalue > 1e-4
    changed = (views[1][:, 0, 0, 0] - 100).abs() > 1e-3
    assert abs(changed.float().mean() - 0.25) < 0.03


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_global=1, num_local=0), 'num_global=1'),
        (dict(local_size=32), 'local_size=32'),
        (dict(global_scale=(1, 0.1)), 'global_scale'),
        (dict(flip_prob=1.5), 'flip_prob.*one number or 8.*got 1.5'),
        (dict(blur_prob=[1.0, 0.1]), r'blur_prob.*got \[1.0, 0.1\]'),
        (dict(contrast=-1), 'contrast'),
        (dict(blur_sigma=(2, 1)), 'blur_sigma'),
        (dict(num_classes=3, batch_augments=dict(
            augments=dict(type='Mixup', alpha=1.0))), 'batch_augments'),
    ])  # fmt: skip
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        multi_crop(**kwargs)


def test_bad_images():
    with pytest.raises(ValueError, match=r'16 pixels.*\(8, 8\).*local_size'):
        multi_crop()(batch(size=(8, 8)), True)
    with pytest.raises(ValueError, match='1 or 3 channels, got 4'):
        multi_crop()(batch(channels=4), True)
    with pytest.raises(ValueError, match='num_views >= 1, got 0'):
        two_views(num_views=0)


# Distillers ----------------------------------------------------------------
@every_maker
def test_handed_through_to_distillers(make):
    data, single = batch(), make(**STATISTICS)
    wrapped = ViewsPreprocessor(single)
    got, expected = wrapped(data, True), single(data, True)
    assert len(got['inputs']) == single.num_views
    for one, other in zip(got['inputs'], expected['inputs'], strict=True):
        assert torch.equal(one, other)
    assert torch.equal(wrapped(data)['inputs'], single(data)['inputs'])
    listed = {**data, 'inputs': [data['inputs'], data['inputs']]}
    with pytest.raises(ValueError, match='makes 2 views and'):
        wrapped(listed, True)
    with pytest.raises(ValueError, match='draws at random'):
        TargetsPreprocessor(single, dict(teacher=build('ClsData')))
