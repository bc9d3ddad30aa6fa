"""Configs prepare images as the papers do: resized as by torchvision."""

import functools
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode
from torchvision.transforms import Resize as TorchvisionResize
from torchvision.transforms.functional import resized_crop

from mmdistill.registry import TRANSFORMS

DATASETS = (
    Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'datasets'
)
ORIENTATION = 0x0112  # the EXIF tag that says how a camera was held


@pytest.fixture(scope='module')
def photo(tmp_path_factory) -> Path:
    """A photograph whose EXIF orientation torchvision does not look at."""
    path = tmp_path_factory.mktemp('photo') / 'china.jpg'
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(load_sample_image('china.jpg')).save(path, exif=exif)
    return path


@functools.cache
def pipeline(name: str, split: str) -> list[dict]:
    cfg = Config.fromfile(DATASETS / name).to_dict()
    return cfg[f'{split}_dataloader']['dataset']['pipeline']


def steps(value):
    """Every transform in a config, those inside of others too."""
    if isinstance(value, dict):
        if 'type' in value:
            yield value
        value = list(value.values())
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from steps(item)


def test_evaluation_of_imagenet_is_torchvision(photo):
    """Short side 256, the middle 224, read by Pillow, blue first."""
    *before, pack = pipeline('imagenet.py', 'test')
    assert pack == dict(type='PackInputs')
    results = dict(img_path=str(photo))
    for step in before:
        results = TRANSFORMS.build(step)(results)
    with Image.open(photo) as image:
        expected = Compose([TorchvisionResize(256), CenterCrop(224)])(
            image.convert('RGB')
        )
    assert results['img'].shape == (224, 224, 3)
    assert np.array_equal(results['img'][..., ::-1], np.asarray(expected))


def crops(step: dict) -> list[dict]:
    """The random crops that a transform makes."""
    if step['type'] == 'RandomResizedCrop':
        return [step]
    options = {k: step[k] for k in ('interpolation', 'backend') if k in step}
    return [
        dict(type='RandomResizedCrop', scale=step[f'{kind}_size'], **options)
        for kind in ('global', 'local')
    ]


TRAINED = [
    'imagenet.py',
    'imagenet_multicrop.py',
    'imagenet_multicrop_dino.py',
    'imagenet_one_view.py',
    'imagenet_two_views.py',
    'imagenet_two_views_byol.py',
    'imagenet_two_views_simclr.py',
]


@pytest.mark.parametrize('name', TRAINED)
def test_a_random_crop_of_imagenet_is_torchvisions(photo, name):
    """Of the same box of the photograph."""
    load = pipeline(name, 'train')[0]
    img = TRANSFORMS.build(load)(dict(img_path=str(photo)))['img']
    with Image.open(photo) as image:
        image = image.convert('RGB')
    kinds = 'RandomResizedCrop', 'MultiCrop'
    train = [s for s in steps(pipeline(name, 'train')) if s['type'] in kinds]
    assert train
    for step in train:
        for crop in crops(step):
            crop = TRANSFORMS.build(crop)
            np.random.seed(0)
            box = crop.rand_crop_params(img)
            np.random.seed(0)
            got = crop(dict(img=img))['img']
            mode = InterpolationMode(step.get('interpolation', 'bilinear'))
            expected = resized_crop(image, *box, crop.scale[::-1], mode)
            assert np.array_equal(got[..., ::-1], np.asarray(expected))


PHOTOGRAPHS = [
    path.name
    for path in sorted(DATASETS.glob('*.py'))
    if path.name.startswith(('imagenet', 'mini', 'tiny', 'stl10', 'folder'))
]


@pytest.mark.parametrize('name', PHOTOGRAPHS)
def test_photographs_are_smoothed_where_they_are_made_smaller(name):
    """No config of photographs resizes as OpenCV does by default."""
    kinds = 'RandomResizedCrop', 'ResizeEdge', 'Resize', 'MultiCrop'
    found = [
        step
        for step in steps(Config.fromfile(DATASETS / name).to_dict())
        if step['type'] in kinds
    ]
    assert found
    for step in found:
        smooths = step.get('backend') == 'pillow'
        assert smooths or step.get('interpolation') == 'area', step


CIFAR100 = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
CIFAR10 = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ('name', 'statistics'),
    [
        ('cifar100.py', CIFAR100),
        ('cifar100_batched.py', CIFAR100),
        ('stl10_32.py', CIFAR100),
        ('tiny_imagenet_32.py', CIFAR100),
        ('cifar10_batched.py', CIFAR10),
        ('imagenet.py', IMAGENET),
        ('folder32.py', IMAGENET),
    ],
)
def test_mean_and_deviation_are_not_rounded(name, statistics):
    """They are 255 times the published ones."""
    preprocessor = Config.fromfile(DATASETS / name).data_preprocessor
    for key, published in zip(('mean', 'std'), statistics, strict=True):
        expected = [255 * value for value in published]
        assert preprocessor[key] == pytest.approx(expected, rel=1e-9)
