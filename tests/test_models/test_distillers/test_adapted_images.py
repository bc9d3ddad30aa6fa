"""A teacher by name sees the student's images as it was trained on them."""

from dataclasses import replace

import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from torchvision.transforms.v2.functional import resize

from mmdistill.models.distillers.adapted_images import AdaptedImages
from mmdistill.models.zoo import ModelInfo

STUDENT = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0])
INFO = ModelInfo(size=(24, 24), mean=(127.5,) * 3, std=(64.0,) * 3)


def prepared(images, **settings):
    preprocessor = ClsDataPreprocessor(**settings)
    return preprocessor, preprocessor(dict(inputs=images))['inputs']


def test_as_if_prepared_from_the_file():
    """BGR from the file, RGB for both networks."""
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    student, ready = prepared(images, to_rgb=True, **STUDENT)
    got = AdaptedImages(INFO, student)(ready)
    rgb = resize(images.flip(1).float(), [24, 24], 3, antialias=True)
    expected = (rgb.clamp(0, 255) - 127.5) / 64
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_images_that_are_right_stay_as_they_are():
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    student, ready = prepared(images, mean=[127.5] * 3, std=[64.0] * 3)
    assert AdaptedImages(INFO, student)(ready) is ready
    smaller = ready[..., :16]
    adapted = AdaptedImages(INFO, student)
    assert adapted(smaller).shape == ready.shape
    assert not adapted.state_dict()  # as of every preprocessor


def test_gray_images_and_none_normalized():
    images = torch.randint(0, 256, (2, 1, 24, 24), dtype=torch.uint8)
    student, ready = prepared(images)
    got = AdaptedImages(INFO, student)(ready)
    expected = ((images.float() - 127.5) / 64).expand(-1, 3, -1, -1)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ('student', 'info', 'flips'),
    [
        # one set of files: to_rgb says which order a network was trained on
        (True, dict(to_rgb=True), False),
        (True, dict(is_bgr=True), True),
        (False, dict(to_rgb=True), True),
        (False, dict(is_bgr=True), False),
        # arrays, or a library's network: nothing is known but RGB
        (False, dict(), False),
        (True, dict(), False),
    ],
)
def test_the_order_of_channels(student, info, flips):
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    settings = dict(mean=[127.5] * 3, std=[64.0] * 3, to_rgb=student)
    preprocessor, ready = prepared(images, **settings)
    got = AdaptedImages(replace(INFO, **info), preprocessor)(ready)
    torch.testing.assert_close(got, ready.flip(1) if flips else ready)
