"""Operations on whole batches, as Pillow and MMPretrain do them."""

from functools import partial

import mmcv
import numpy as np
import pytest
import torch
from mmpretrain.datasets.transforms import RandomResizedCrop
from scipy.stats import ks_2samp
from torchvision.transforms.functional import gaussian_blur as reference_blur

from mmdistill.models.preprocessors.batch_ops import (
    BOX_DRAWS,
    color_jitter,
    crop_boxes,
    gaussian_blur,
    resized_crops,
)
from mmdistill.registry import MODELS


def build(name, **kwargs):
    return MODELS.build(dict(type=f'{name}Preprocessor', **kwargs))


multi_crop = partial(build, 'MultiCrop')


def uint8(count=6, size=(32, 32), channels=3):
    return torch.randint(0, 256, (count, channels, *size), dtype=torch.uint8)


RATIO = 3 / 4, 4 / 3

SCALES = dict(globally=(0.14, 1.0), locally=(0.05, 0.14))


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
