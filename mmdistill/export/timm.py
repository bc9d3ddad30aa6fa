from __future__ import annotations

from torch import nn

from mmdistill.export.formats import optional
from mmdistill.export.libraries import LibraryFormat
from mmdistill.registry import EXPORT_FORMATS


@EXPORT_FORMATS.register_module('timm')
class TimmFormat(LibraryFormat):
    """A state dict for one of timm's networks."""

    library = 'timm'
    about = (
        'a state dict for --arch of timm. Found to answer the same: ResNet, '
        'ResNetV1d as resnet50d, ResNeXt, SEResNet, RepVGG, MobileNetV2 as '
        'mobilenetv2_100, RegNetX, RegNetY as regnety_006, EfficientNet and '
        'EfficientNetV2 as tf_efficientnet*, DenseNet, ConvNeXt, ViT and '
        'DeiT. No counterpart: efficientnet_b0 (other paddings), MobileNetV3 '
        '(another epsilon), VGG (a convolution in its classifier), Swin '
        '(other merging of patches), the CIFAR networks'
    )

    def architectures(self) -> list[str]:
        return optional('timm').list_models()

    def build(
        self, arch: str, classes: int | None, channels: int
    ) -> nn.Module:
        return optional('timm').create_model(
            arch, num_classes=classes or 0, in_chans=channels
        )
