"""Students under the names of torchvision and timm."""

import re

import pytest
import timm
import torch
import torchvision
from torch import nn

from mmdistill.export import ExportError, TimmFormat, TorchvisionFormat

FORMATS = dict(timm=TimmFormat(), torchvision=TorchvisionFormat())
GAP = dict(type='GlobalAveragePooling')


def classifier(backbone, channels, neck=GAP, head='LinearClsHead', **kwargs):
    head = dict(type=head, num_classes=10, in_channels=channels, **kwargs)
    return dict(
        type='ImageClassifier', backbone=backbone, neck=neck, head=head
    )


def mobilenet_v3(arch, channels, mid):
    return classifier(
        dict(type='MobileNetV3', arch=arch), channels,
        head='StackedLinearClsHead', mid_channels=[mid],
        act_cfg=dict(type='HSwish'),
    )  # fmt: skip


def vit(arch='deit-small', width=384, img_size=224):
    backbone = dict(type='VisionTransformer', arch=arch, img_size=img_size,
                    patch_size=16)  # fmt: skip
    return classifier(backbone, width, None, 'VisionTransformerClsHead')


def vgg(**kwargs):
    backbone = dict(type='VGG', depth=11, num_classes=10, **kwargs)
    return dict(
        type='ImageClassifier', backbone=backbone, head=dict(type='ClsHead')
    )


def resnet(depth=18, **kwargs):
    backbone = dict(type='ResNet', depth=depth, **kwargs)
    return classifier(backbone, 512 if depth < 50 else 2048)


WIDE = dict(depth=50, base_channels=128, expansion=2)
REGNETY_400MF = dict(type='RegNetY', depth=16, w_0=48, w_a=27.89, w_m=2.09,
                     group_width=8)  # fmt: skip
#: What answers alike: network, library, architecture, size of images.
ALIKE = [
    (resnet(), 'torchvision', 'resnet18', 64),
    (resnet(), 'timm', 'resnet18', 64),
    (resnet(50), 'torchvision', 'resnet50', 64),
    (resnet(50), 'timm', 'resnet50', 64),
    (resnet(**WIDE), 'torchvision', 'wide_resnet50_2', 64),
    (classifier(dict(type='ResNetV1d', depth=50), 2048), 'timm', 'resnet50d',
     64),
    (classifier(dict(type='ResNeXt', depth=50), 2048), 'torchvision',
     'resnext50_32x4d', 64),
    (classifier(dict(type='SEResNet', depth=50), 2048), 'timm', 'seresnet50',
     64),
    (classifier(dict(type='RepVGG', arch='A0'), 1280), 'timm', 'repvgg_a0',
     64),
    (classifier(dict(type='MobileNetV2'), 1280), 'torchvision',
     'mobilenet_v2', 64),
    (classifier(dict(type='MobileNetV2'), 1280), 'timm', 'mobilenetv2_100',
     64),
    (mobilenet_v3('small', 576, 1024), 'torchvision', 'mobilenet_v3_small',
     64),
    (classifier(dict(type='RegNet', arch='regnetx_800mf'), 672),
     'torchvision', 'regnet_x_800mf', 64),
    (classifier(dict(type='RegNet', arch='regnetx_400mf'), 384), 'timm',
     'regnetx_004', 64),
    (classifier(dict(type='RegNetY'), 608), 'timm', 'regnety_006', 64),
    (classifier(REGNETY_400MF, 440), 'torchvision', 'regnet_y_400mf', 64),
    (classifier(dict(type='EfficientNet', arch='b0'), 1280), 'timm',
     'tf_efficientnet_b0', 96),
    (classifier(dict(type='EfficientNetV2', arch='s'), 1280), 'timm',
     'tf_efficientnetv2_s', 64),
    (classifier(dict(type='DenseNet', arch='121'), 1024), 'torchvision',
     'densenet121', 64),
    (classifier(dict(type='DenseNet', arch='121'), 1024), 'timm',
     'densenet121', 64),
    (classifier(dict(type='ShuffleNetV2'), 1024), 'torchvision',
     'shufflenet_v2_x1_0', 64),
    (vit(), 'timm', 'deit_small_patch16_224', 224),
    (vit('deit-tiny', 192), 'timm', 'vit_tiny_patch16_224', 224),
    (classifier(dict(type='ConvNeXt', arch='tiny'), 768, None), 'timm',
     'convnext_tiny', 64),
    (vgg(norm_cfg=dict(type='BN')), 'torchvision', 'vgg11_bn', 224),
    (vgg(), 'torchvision', 'vgg11', 224),
]  # fmt: skip
BIG = re.compile(
    'vgg|wide|deit|v2_s|convnext|resnext|50d|seres|densenet121|timm-resnet50'
)
#: What does not, and why.
UNLIKE = [
    (classifier(dict(type='EfficientNet', arch='b0'), 1280), 'torchvision',
     'efficientnet_b0', r'last layer that agrees.*Conv2dAdaptivePadding'),
    (mobilenet_v3('large', 960, 1280), 'timm', 'mobilenetv3_large_100',
     'epsilons.*eps=0.001'),
    (classifier(dict(type='RegNet', arch='regnetx_400mf'), 384),
     'torchvision', 'regnet_x_400mf', r'no Conv2d of shapes \[\(400, 160'),
    (resnet(), 'torchvision', 'resnet34', 'no Conv2d of shapes'),
    (resnet(50), 'timm', 'resnet18', 'last layer that agrees is bn1'),
    (resnet(), 'timm', 'vit_tiny_patch16_224', 'It: no VisionTr'),
    (resnet(), 'torchvision', 'googlenet', 'no Conv2d of shapes'),
]  # fmt: skip


def theirs(library, arch, **kwargs):
    if library == 'timm':
        return timm.create_model(arch, **kwargs)
    return torchvision.models.get_model(arch, **kwargs)


def ids(cases):
    return [f'{case[1]}-{case[2]}' for case in cases]


def alike():
    """One parameter set a network; the big ones are slow."""
    return [
        pytest.param(
            *case, id=name, marks=[pytest.mark.slow] * bool(BIG.search(name))
        )
        for case, name in zip(ALIKE, ids(ALIKE), strict=True)
    ]


@pytest.mark.parametrize('network, library, arch, size', alike())
def test_alike(student, network, library, arch, size):
    source = student(network)
    state, absent = FORMATS[library].convert(source, arch, (size, size))
    assert absent == []
    network = theirs(library, arch, num_classes=10).eval()
    network.load_state_dict(state, strict=True)
    images = torch.rand(1, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(
            network(images), source.model(images), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    'network, library, arch, message', UNLIKE, ids=ids(UNLIKE)
)
def test_unlike(student, network, library, arch, message):
    with pytest.raises(ExportError, match=rf'(?s){arch}.*{message}'):
        FORMATS[library].convert(student(network), arch, (64, 64))


def test_an_answer_that_differs_is_refused(student):
    """Though every layer has found its like."""
    source = student(resnet())
    source.model.head.fc.register_forward_hook(lambda m, i, out: out + 1)
    with pytest.raises(ExportError, match='answers otherwise.*1e-05 is all'):
        FORMATS['timm'].convert(source, 'resnet18', (64, 64))


@pytest.mark.parametrize(
    'library, arch, empty',
    [('torchvision', 'resnet18', nn.Identity()), ('timm', 'resnet18', None)],
)
def test_without_a_classifier(student, library, arch, empty):
    encoder = dict(
        type='SelfSupervisedEncoder',
        backbone=dict(type='ResNet', depth=18),
        neck=GAP,
        head=dict(type='ProjectionHead', hidden_dim=8),
        prototypes=dict(type='PrototypeHead', num_prototypes=5),
    )
    source = student(encoder)
    state, absent = FORMATS[library].convert(source, arch, (64, 64))
    assert absent == ['fc.bias', 'fc.weight']
    network = theirs(library, arch, num_classes=1000 if empty else 0).eval()
    if empty:
        network.fc = empty
    network.load_state_dict(state, strict=True)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        (feature,) = source.model.extract_feat(images)
        torch.testing.assert_close(network(images), feature)


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
def test_names_that_a_library_does_not_have(student, library):
    with pytest.raises(ValueError, match=rf'{library} .*resnt18.*resnet18'):
        FORMATS[library].convert(student(resnet()), 'resnt18', (64, 64))
