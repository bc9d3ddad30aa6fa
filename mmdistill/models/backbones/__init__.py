"""The CIFAR zoo; ImageNet-size backbones are MMPretrain's own."""

from mmdistill.models.backbones.cifar_resnet import CIFARResNet

__all__ = ['CIFARResNet']
