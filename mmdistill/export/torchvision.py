from __future__ import annotations

import torchvision
from torch import nn

from mmdistill.export.libraries import LibraryFormat
from mmdistill.registry import EXPORT_FORMATS

# Where torchvision's networks have their classifier.
_CLASSIFIERS = ('fc', 'classifier', 'head', 'heads')


@EXPORT_FORMATS.register_module('torchvision')
class TorchvisionFormat(LibraryFormat):
    """A state dict for one of torchvision's networks."""

    library = 'torchvision'
    about = (
        'a state dict for --arch of torchvision. Found to answer the same: '
        'ResNet, ResNeXt, wide_resnet50_2 (ResNet with base_channels 128 and '
        'expansion 2), MobileNetV2, MobileNetV3, RegNetX (not 400MF, whose '
        'last width differs), RegNetY (of mmdistill), VGG with and without '
        'BatchNorm, DenseNet, ShuffleNetV2. No counterpart: EfficientNet '
        '(other paddings), ViT (attention in one tensor), ConvNeXt, Swin '
        '(other merging of patches), the CIFAR networks'
    )

    def architectures(self) -> list[str]:
        return torchvision.models.list_models(torchvision.models)

    def build(
        self, arch: str, classes: int | None, channels: int
    ) -> nn.Module:
        settings = {} if classes is None else dict(num_classes=classes)
        network = torchvision.models.get_model(arch, **settings)
        if classes is None:
            for name in _CLASSIFIERS:
                if hasattr(network, name):
                    setattr(network, name, nn.Identity())
        return network
