"""Views drawn on the device are those of the per-image pipeline."""

from functools import partial

import mmcv
import numpy as np
import pytest
import torch
from helpers import digits_config, tiny_classifier
from mmpretrain.datasets.transforms import RandomResizedCrop
from scipy.stats import ks_2samp, kstest
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)
from torchvision.transforms.functional import gaussian_blur as reference_blur

from mmdistill.engine.runner import DistillRunner
from mmdistill.models.distillers.preprocessor import (
    TargetsPreprocessor,
    ViewsPreprocessor,
)
from mmdistill.models.preprocessors.batch_ops import (
    BOX_DRAWS,
    color_jitter,
    crop_boxes,
    gaussian_blur,
    resized_crops,
)
from mmdistill.registry import MODELS, TRANSFORMS
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


# Boxes ---------------------------------------------------------------------
SCALES = dict(globally=(0.14, 1.0), locally=(0.05, 0.14))
RATIO = 3 / 4, 4 / 3


@pytest.mark.parametrize('scale', SCALES.values(), ids=SCALES)
@pytest.mark.parametrize('size', [(32, 32), (32, 48), (90, 20)], ids=str)
def test_boxes_of_the_same_numbers(size, scale, monkeypatch):
    """Box for box MMPretrain's, the middle of narrow images included."""
    draws = torch.rand(BOX_DRAWS, 400, dtype=torch.float64)
    got = crop_boxes(draws, size, scale, RATIO).T
    crop = RandomResizedCrop(8, scale, RATIO)
    image = np.zeros(size)
    middle = 0
    for column, box in zip(draws.T.tolist(), got.tolist(), strict=True):
        areas, ratios, places = column[:10], column[10:20], column[20:]
        numbers = iter(
            [x for pair in zip(areas, ratios, strict=True) for x in pair]
        )
        place = iter(places)

        def uniform(low, high, numbers=numbers):
            return low + (high - low) * next(numbers)

        def randint(low, high, place=place):
            return low + int((high - low) * next(place))

        monkeypatch.setattr(np.random, 'uniform', uniform)
        monkeypatch.setattr(np.random, 'randint', randint)
        assert tuple(box) == crop.rand_crop_params(image)
        middle += next(place, None) is not None
    assert (middle > 0) == (size == (90, 20) and scale[1] == 1.0)


@pytest.mark.parametrize('scale', SCALES.values(), ids=SCALES)
@pytest.mark.parametrize('seeded', [False, True])
def test_boxes_have_one_distribution(scale, seeded):
    """Area, ratio and place, by the two-sample Kolmogorov-Smirnov test."""
    count, size = 3000, (32, 40)
    crop, image = RandomResizedCrop(8, scale, RATIO), np.zeros(size)
    theirs = [crop.rand_crop_params(image) for _ in range(count)]
    seeds = [hash((0, 0, i)) for i in range(count)] if seeded else None
    draws = multi_crop()._draw(
        count, torch.tensor(seeds) if seeded else None, 'cpu'
    )
    for view in (0, 5):
        ours = crop_boxes(draws[-BOX_DRAWS:, view], size, scale, RATIO).T
        for what in (
            lambda t, le, h, w: h * w,
            lambda t, le, h, w: w / h,
            lambda t, le, h, w: t / max(1, size[0] - h),
            lambda t, le, h, w: le / max(1, size[1] - w),
        ):
            ours_is = [what(*box) for box in ours.tolist()]
            theirs_is = [what(*box) for box in theirs]
            assert ks_2samp(ours_is, theirs_is).pvalue > 1e-4


def test_draws_are_uniform_and_independent():
    seeds = torch.tensor([hash((3, 1, i)) for i in range(2000)])
    draws = multi_crop(num_local=0)._draw(2000, seeds, 'cpu').flatten(0, 1)
    assert draws.min() >= 0 and draws.max() < 1
    assert min(kstest(row, 'uniform').pvalue for row in draws.numpy()) > 1e-5
    correlation = torch.corrcoef(draws) - torch.eye(len(draws))
    assert correlation.abs().max() < 6 / 2000**0.5


# Pixels --------------------------------------------------------------------
@pytest.mark.parametrize('size', [8, 16, 40])
def test_crops_are_mmpretrains(size):
    """To a level, as it rounds to whole ones."""
    images = uint8(40, (24, 31))
    boxes = crop_boxes(torch.rand(BOX_DRAWS, 40), (24, 31), (0.1, 1), RATIO)
    whole = torch.tensor([0.0, 0.0, 24.0, 31.0])
    boxes = torch.cat([boxes, whole[:, None]], 1)
    images = torch.cat([images, images[:1]])
    straight = torch.zeros(41, dtype=torch.bool)
    got = resized_crops(images.float(), boxes, straight, size)
    crop = RandomResizedCrop(size)
    for image, box, ours in zip(images, boxes.T, got, strict=True):
        crop.rand_crop_params = lambda _, box=box: box.int().tolist()
        theirs = crop(dict(img=image.permute(1, 2, 0).numpy()))['img']
        theirs = torch.from_numpy(theirs).permute(2, 0, 1)
        assert (ours - theirs).abs().max() < 1.01
    mirrored = resized_crops(images.float(), boxes, ~straight, size)
    assert torch.equal(mirrored.flip(3), got)


def test_the_whole_image_is_itself():
    images = uint8(5)
    views = multi_crop(
        num_local=0, global_scale=(1, 1), ratio=(1, 1), flip_prob=[0, 1]
    ).views(images)
    torch.testing.assert_close(views[0], images.float())
    torch.testing.assert_close(views[1], images.flip(3).float())


@pytest.mark.parametrize('rgb', [True, False])
def test_colours_are_pillows(rgb):
    """Each factor alone, to the levels that Pillow rounds to."""
    images = uint8(6, (9, 7))
    one = torch.ones(6)
    factors = torch.tensor([0.0, 0.3, 0.8, 1.0, 1.2, 1.9])
    bgr = images.flip(1) if rgb else images
    for position, adjust in enumerate(
        (mmcv.adjust_brightness, mmcv.adjust_contrast, mmcv.adjust_color)
    ):
        given = [one, one, one]
        given[position] = factors
        got = color_jitter(images.float(), *given, rgb=rgb)
        got = got.flip(1) if rgb else got
        for image, factor, ours in zip(bgr, factors, got, strict=True):
            image = image.permute(1, 2, 0).numpy()
            theirs = adjust(image, float(factor), backend='pillow').copy()
            theirs = torch.from_numpy(theirs).permute(2, 0, 1)
            assert (ours - theirs).abs().max() < 2.1
    unchanged = color_jitter(images.float(), one, one, one, rgb=rgb)
    torch.testing.assert_close(unchanged, images.float())


def test_grey_images_have_no_saturation():
    images = uint8(4, channels=1).float()
    one = torch.ones(4)
    got = color_jitter(images, one, one, torch.zeros(4))
    torch.testing.assert_close(got, images)


def test_blur_is_gaussian():
    """Torchvision's away from the edges; an even image stays as it is."""
    images = torch.rand(3, 2, 32, 32) * 255
    sigma = torch.tensor([0.01, 0.7, 2.0])
    got = gaussian_blur(images, sigma)
    assert torch.equal(got[0], images[0])
    for i in (1, 2):
        expected = reference_blur(images[i], [19, 19], [float(sigma[i])] * 2)
        inside = slice(10, -10)
        torch.testing.assert_close(
            got[i, :, inside, inside],
            expected[:, inside, inside],
            atol=0.01,
            rtol=0,
        )
    even = torch.full((3, 1, 8, 8), 7.0)
    torch.testing.assert_close(gaussian_blur(even, sigma), even)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(gaussian_blur(images, sigma), got)


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


def test_cocord_runs_on_whole_batches(tmp_path):
    move = dict(type='MomentumUpdateHook', momentum=0.9)
    cfg = digits_config(tmp_path)
    cfg.default_hooks.update(
        slow_student=dict(move, source='student', target='slow_student'),
        slow_head=dict(move, source='student_head', target='slow_head'),
        teacher_head=dict(move, source='student_head', target='teacher_head'),
        queue=dict(type='QueueHook', prefill=20),
    )
    cfg.model = dict(
        type='CoCoRD',
        student=tiny_classifier(),
        teacher=tiny_classifier(depth=14),
        losses=dict(
            contrastive=dict(type='InfoNCELoss', queue_size=20),
            prediction=dict(
                type='PredictionLoss',
                target='slow_student',
                predictor=dict(type='PredictorHead'),
            ),
        ),
        head=dict(type='ProjectionHead', out_dim=6),
        input_size=(1, 8, 8),
        data_preprocessor=dict(
            type='BatchAugmentPreprocessor',
            mean=[73.2],
            std=[90.24],
            crop_padding=1,
            num_views=2,
        ),
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        inner = loader.dataset.to_dict()
        inner.pop('pipeline')
        loader.dataset = dict(type='ImageTensorDataset', dataset=inner)
        loader.collate_fn = dict(type='batch_collate')
    runner = DistillRunner.from_cfg(cfg)
    seen = []
    runner.model.student.backbone.register_forward_pre_hook(
        lambda module, args: seen.append((module.training, args[0]))
    )
    runner.train()
    model = runner.model
    assert len(model.losses.contrastive.queue) == 20
    assert all(p.isfinite().all() for p in model.state_dict().values())
    # two views of 96 images, and of the 32 that fill the queue beforehand;
    # 100 images in two batches of validation
    trained = [images for training, images in seen if training]
    tested = [images for training, images in seen if not training]
    assert [len(images) for images in trained] == 6 * [64]
    assert [len(images) for images in tested] == [64] + 4 * [50]
    first, second = torch.cat([x.view(2, 32, -1) for x in trained], 1)
    equal = (first == second).all(1).sum()
    assert 0 < equal < 40  # once in 18, of 192


def test_the_pipelines_flip_is_ours():
    """A flip of the per-image pipeline is the same mirror image."""
    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))
    image = uint8(1)
    theirs = flip(dict(img=image[0].permute(1, 2, 0).numpy()))['img']
    ours = two_views(crop_padding=0, flip_prob=1.0).views(image)
    for view in ours:
        assert np.array_equal(view[0].permute(1, 2, 0).numpy(), theirs)
