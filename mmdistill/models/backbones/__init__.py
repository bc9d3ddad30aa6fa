"""The CIFAR zoo, and backbones that MMPretrain lacks."""

from mmdistill.models.backbones.cifar_bottleneck_resnet import (
    CIFARBottleneckResNet,
)
from mmdistill.models.backbones.cifar_densenet import CIFARDenseNet
from mmdistill.models.backbones.cifar_mobilenet_v2 import CIFARMobileNetV2
from mmdistill.models.backbones.cifar_resnet import CIFARResNet
from mmdistill.models.backbones.cifar_shufflenet_v1 import CIFARShuffleNetV1
from mmdistill.models.backbones.cifar_shufflenet_v2 import CIFARShuffleNetV2
from mmdistill.models.backbones.cifar_vgg import CIFARVGG
from mmdistill.models.backbones.cifar_wide_resnet import CIFARWideResNet
from mmdistill.models.backbones.cifar_zoo import CIFAR_ZOO, cifar_classifier
from mmdistill.models.backbones.conv_net4 import ConvNet4
from mmdistill.models.backbones.normed_vit import NormedVisionTransformer
from mmdistill.models.backbones.regnet import RegNetY

__all__ = [
    'CIFARBottleneckResNet',
    'CIFARDenseNet',
    'CIFARMobileNetV2',
    'CIFARResNet',
    'CIFARShuffleNetV1',
    'CIFARShuffleNetV2',
    'CIFARVGG',
    'CIFARWideResNet',
    'CIFAR_ZOO',
    'ConvNet4',
    'NormedVisionTransformer',
    'RegNetY',
    'cifar_classifier',
]
