"""Models by name: what they become, what they bring, and wrong names."""

import pytest
import torch
from helpers import tiny_classifier

from mmdistill.models.zoo import (
    ModelNameError,
    get_model,
    is_model_name,
    list_models,
    model_info,
    resolve_model,
)
from mmdistill.registry import MODELS


def test_what_is_a_name():
    for name in ('timm/resnet18', 'cifar/resnet8', 'a/b.pth', 'b.pt'):
        assert is_model_name(name)
    for name in ('ImageClassifier', 'mmdistill.CIFARResNet', 'a/b', None):
        assert not is_model_name(name)


def test_other_configs_stay_as_they_are():
    cfg = tiny_classifier()
    assert resolve_model(cfg) == cfg
    assert resolve_model(dict(type=torch.nn.Identity)) == dict(
        type=torch.nn.Identity
    )


@pytest.mark.parametrize(
    'name, width',
    [
        ('timm/resnet10t', 512),
        ('torchvision/shufflenet_v2_x0_5', 1024),
        ('cifar/resnet8', 64),
        ('mmpretrain/resnet18_8xb32_in1k', 512),
    ],
)
def test_a_name_is_a_model_wherever_one_is_built(name, width):
    model = MODELS.build(dict(type=name, num_classes=7)).eval()
    images = torch.randn(2, 3, 64, 64)
    assert model(images, mode='tensor').shape == (2, 7)
    assert model.head.fc.in_features == width
    encoder = MODELS.build(dict(type=name, num_classes=0)).eval()
    assert encoder.head is None
    assert torch.as_tensor(encoder.data_preprocessor.mean).numel() == 3
    again = get_model(name, num_classes=7)
    assert type(again) is type(model)


def test_a_library_has_its_own_numbers():
    info = model_info('timm/vit_tiny_patch16_224')
    assert (info.size, info.num_classes) == ((224, 224), 1000)
    assert info.mean == (127.5, 127.5, 127.5) and info.is_fixed
    assert info.classes[:2] == ('tench', 'goldfish')
    info = model_info('torchvision/inception_v3')
    assert info.size == (299, 299) and info.classes[0] == 'tench'
    info = model_info('mmpretrain/resnet18_8xb32_in1k')
    assert info.size == (224, 224) and info.mean == (123.675, 116.28, 103.53)
    assert info.classes[0] == 'tench' and info.crop == 224 / 256
    assert model_info('timm/vit_small_patch14_dinov2').num_classes == 0
    model = resolve_model('timm/vit_tiny_patch16_224')
    assert model['data_preprocessor'] == dict(
        mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True
    )


def test_options_are_the_librarys_and_ours():
    cfg = resolve_model(
        dict(type='timm/vit_tiny_patch16_224', num_classes=5,
             input_size=(3, 64, 64), drop_path_rate=0.1, head=dict(topk=(1,)))
    )  # fmt: skip
    assert cfg['options'] == dict(drop_path_rate=0.1)
    model = MODELS.build(cfg).eval()
    assert model(torch.randn(1, 3, 64, 64), mode='tensor').shape == (1, 5)
    assert model.head.topk == (1,)
    gray = get_model('timm/resnet10t', in_channels=1, num_classes=3).eval()
    assert gray(torch.randn(1, 1, 32, 32), mode='tensor').shape == (1, 3)
    wide = dict(type='cifar/resnet8', head=dict(topk=(1,)), num_classes=4)
    assert resolve_model(wide)['head']['topk'] == (1,)


@pytest.mark.parametrize(
    'name, message',
    [
        ('timm/resnt18', "no model 'resnt18'; did you mean 'timm/resnet18'"),
        ('timm/resnet18.nothing', 'resnet18.a1_in1k'),
        ('torchvision/resnet8', 'torchvision/resnet18'),
        ('cifar/resnet9', 'cifar/resnet8'),
        ('mmpretrain/resnet18', 'mmpretrain/resnet18_8xb32_in1k'),
        ('tim/resnet18', "the libraries.*did you mean 'timm/resnet18'"),
        ('resnet18', 'give LIBRARY/NAME'),
        (
            'mmpretrain/blip-base_3rdparty_caption',
            'BlipCaption, which has no backbone',
        ),
        (dict(type='timm/resnet18', depht=3), "cannot build .*'depht'"),
        (dict(type='torchvision/resnet18', in_channels=1), '3 channels'),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(ModelNameError, match=message):
        MODELS.build(resolve_model(name))


def test_lists():
    names = list_models('timm/vit_tiny*')
    assert 'timm/vit_tiny_patch16_224' in names
    assert all(name.startswith('timm/vit_tiny') for name in names)
    assert {n.partition('/')[0] for n in list_models('*resnet18*')} >= {
        'timm', 'torchvision', 'mmpretrain'}  # fmt: skip
    assert list_models('cifar/wrn*')[0] == 'cifar/wrn_16_1'


def test_a_file_that_is_not_there_or_says_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        resolve_model('nowhere.pth')
    path = tmp_path / 'bare.pth'
    torch.save(dict(weight=torch.zeros(1)), path)
    with pytest.raises(RuntimeError, match="by its library's name"):
        resolve_model(str(path))
