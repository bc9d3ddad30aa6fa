"""The reference repositories' CIFAR networks, written a second time.

From the layers in RepDistiller's models/*.py and MCL-OKD's densenet.py, as
flat as can be: a layer is made, under the reference's name for it, when an
image first passes it; nothing runs in place, nothing is shared with ours.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn, relu


class Reference:
    """A network given by what happens to an image.

    Args:
        flow: ``flow(net, x)`` returns the maps (stem, stages, and the pooled
            one where it is another than the last stage's), the same maps
            before their activation, and the name of the linear layer.
        in_channels: channels of the image.
        num_classes: classes of the linear layer.
    """

    def __init__(self, flow, num_classes=100, in_channels=3):
        self.flow = flow
        self.num_classes = num_classes
        self.layers = {}
        self.modes = False
        with torch.no_grad():
            self(torch.rand(2, in_channels, 32, 32))

    def _layer(self, name, make):
        if name not in self.layers:
            self.layers[name] = make()
        return self.layers[name].train(self.modes)

    def conv(self, name, x, width, kernel=1, stride=1, groups=1, bias=False):
        return self._layer(
            name,
            lambda: nn.Conv2d(
                x.shape[1], width, kernel, stride, kernel // 2,
                groups=groups, bias=bias,
            ),
        )(x)  # fmt: skip

    def norm(self, name, x):
        return self._layer(name, lambda: nn.BatchNorm2d(x.shape[1]))(x)

    def __call__(self, x, training=False):
        """The maps, those before the activation, and the logits."""
        self.modes = training
        maps, before, linear = self.flow(self, x)
        pooled = maps[-1].mean(dim=(2, 3))
        layer = self._layer(
            linear, lambda: nn.Linear(pooled.shape[1], self.num_classes)
        )
        return maps, before, layer(pooled)

    def double(self):
        for layer in self.layers.values():
            layer.double()
        return self

    def randomise(self):
        """Weights and statistics with no two channels alike."""
        for layer in self.layers.values():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
                nn.init.normal_(layer.running_mean, std=0.5)
                nn.init.normal_(layer.bias, std=0.5)
        return self

    def state(self):
        return {
            f'{name}.{key}': tensor
            for name, layer in self.layers.items()
            for key, tensor in layer.state_dict().items()
        }

    def parameter(self, name):
        layer, _, kind = name.rpartition('.')
        return getattr(self.layers[layer], kind)

    def count(self):
        return sum(
            p.numel()
            for layer in self.layers.values()
            for p in layer.parameters()
        )


def resnet(net, x, depth, widths):
    x = relu(net.norm('bn1', net.conv('conv1', x, widths[0], 3)))
    maps, before = [x], [x]
    for stage, width in enumerate(widths[1:], 1):
        for block in range((depth - 2) // 6):
            key = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = net.conv(f'{key}.conv1', x, width, 3, stride)
            y = relu(net.norm(f'{key}.bn1', y))
            y = net.norm(f'{key}.bn2', net.conv(f'{key}.conv2', y, width, 3))
            if stride == 2 or x.shape[1] != width:
                x = net.conv(f'{key}.downsample.0', x, width, 1, stride)
                x = net.norm(f'{key}.downsample.1', x)
            y = x + y
            x = relu(y)
        before.append(y)
        maps.append(x)
    return maps, before, 'fc'


def wide_resnet(net, x, depth, factor):
    x = net.conv('conv1', x, 16, 3)
    maps, before = [x], [x]
    for stage, width in enumerate((16, 32, 64), 1):
        width *= factor
        for block in range((depth - 4) // 6):
            key = f'block{stage}.layer.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = net.norm(f'{key}.bn1', x)
            if stage > 1 and block == 0:
                before.append(y)
            y = relu(y)
            if x.shape[1] != width:
                x = net.conv(f'{key}.convShortcut', y, width, 1, stride)
            y = net.conv(f'{key}.conv1', y, width, 3, stride)
            y = relu(net.norm(f'{key}.bn2', y))
            x = x + net.conv(f'{key}.conv2', y, width, 3)
        maps.append(x)
    x = net.norm('bn1', x)
    before += [x, relu(x)]
    return [*maps, relu(x)], before, 'fc'


VGG = {
    8: [[64], [128], [256], [512], [512]],
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}


def vgg(net, x, depth):
    height = x.shape[2]
    maps, before = [], []
    for block, widths in enumerate(VGG[depth]):
        for i, width in enumerate(widths):
            key = f'block{block}'
            if i > 0:
                x = relu(x)
            x = net.conv(f'{key}.{3 * i}', x, width, 3, bias=True)
            x = net.norm(f'{key}.{3 * i + 1}', x)
        before.append(x if block > 0 else relu(x))
        x = relu(x)
        maps.append(x)
        if block < 3 or (block == 3 and height == 64):
            x = F.max_pool2d(x, kernel_size=2, stride=2)
    return maps, before, 'classifier'


def bottleneck_resnet(net, x, blocks, stem):
    x = relu(net.norm('bn1', net.conv('conv1', x, stem, 3)))
    maps, before = [x], [x]
    for stage, count in enumerate(blocks, 1):
        width = stem * 2 ** (stage - 1)
        for block in range(count):
            key = f'layer{stage}.{block}'
            stride = 2 if stage > 1 and block == 0 else 1
            y = relu(
                net.norm(f'{key}.bn1', net.conv(f'{key}.conv1', x, width))
            )
            y = net.conv(f'{key}.conv2', y, width, 3, stride)
            y = relu(net.norm(f'{key}.bn2', y))
            y = net.norm(f'{key}.bn3', net.conv(f'{key}.conv3', y, 4 * width))
            if stride == 2 or x.shape[1] != 4 * width:
                x = net.conv(f'{key}.shortcut.0', x, 4 * width, 1, stride)
                x = net.norm(f'{key}.shortcut.1', x)
            y = x + y
            x = relu(y)
        before.append(y)
        maps.append(x)
    return maps, before, 'linear'


def mobilenet_v2(net, x, factor, expand):
    # expansion, channels, blocks, stride
    setting = [
        (1, 16, 1, 1),
        (expand, 24, 2, 1),
        (expand, 32, 3, 2),
        (expand, 64, 4, 2),
        (expand, 96, 3, 1),
        (expand, 160, 3, 2),
        (expand, 320, 1, 1),
    ]
    x = net.conv('conv1.0', x, int(32 * factor), 3, 2)
    x = relu(net.norm('conv1.1', x))
    maps = [x]
    for group, (t, width, count, first_stride) in enumerate(setting):
        width = int(width * factor)
        for block in range(count):
            key = f'blocks.{group}.{block}.conv'
            stride = first_stride if block == 0 else 1
            inner = x.shape[1] * t
            y = relu(net.norm(f'{key}.1', net.conv(f'{key}.0', x, inner)))
            y = net.conv(f'{key}.3', y, inner, 3, stride, groups=inner)
            y = relu(net.norm(f'{key}.4', y))
            y = net.norm(f'{key}.7', net.conv(f'{key}.6', y, width))
            x = x + y if stride == 1 and x.shape[1] == width else y
        if group in (1, 2, 4, 6):
            maps.append(x)
    last = int(1280 * factor) if factor > 1 else 1280
    x = relu(net.norm('conv2.1', net.conv('conv2.0', x, last)))
    return [*maps, x], [*maps, x], 'classifier.0'


def shuffle(x, groups):
    n, c, h, w = x.shape
    x = x.view(n, groups, c // groups, h, w)
    return x.permute(0, 2, 1, 3, 4).reshape(n, c, h, w)


def shufflenet_v1(net, x, widths, blocks, groups):
    x = relu(net.norm('bn1', net.conv('conv1', x, 24)))
    maps, before = [x], [x]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            key = f'layer{stage + 1}.{block}'
            out = width - x.shape[1] if block == 0 else width
            first = 1 if stage == 0 and block == 0 else groups
            inner = out // 4
            y = net.conv(f'{key}.conv1', x, inner, groups=first)
            y = shuffle(relu(net.norm(f'{key}.bn1', y)), first)
            stride = 2 if block == 0 else 1
            y = net.conv(f'{key}.conv2', y, inner, 3, stride, groups=inner)
            y = relu(net.norm(f'{key}.bn2', y))
            y = net.conv(f'{key}.conv3', y, out, groups=groups)
            y = net.norm(f'{key}.bn3', y)
            if block == 0:
                y = torch.cat([y, F.avg_pool2d(x, 3, 2, padding=1)], 1)
            else:
                y = y + x
            x = relu(y)
        before.append(y)
        maps.append(x)
    return maps, before, 'linear'


def shufflenet_v2(net, x, widths, blocks):
    x = relu(net.norm('bn1', net.conv('conv1', x, 24)))
    maps, before = [x], [x]
    for stage, (width, count) in enumerate(
        zip(widths[:3], blocks, strict=True), 1
    ):
        key, half = f'layer{stage}.0', width // 2
        c = x.shape[1]
        left = net.conv(f'{key}.conv1', x, c, 3, 2, groups=c)
        left = net.conv(f'{key}.conv2', net.norm(f'{key}.bn1', left), half)
        left = relu(net.norm(f'{key}.bn2', left))
        right = relu(net.norm(f'{key}.bn3', net.conv(f'{key}.conv3', x, half)))
        right = net.conv(f'{key}.conv4', right, half, 3, 2, groups=half)
        right = net.conv(f'{key}.conv5', net.norm(f'{key}.bn4', right), half)
        right = relu(net.norm(f'{key}.bn5', right))
        x = shuffle(torch.cat([left, right], 1), 2)
        for block in range(1, count + 1):
            key = f'layer{stage}.{block}'
            left, right = x[:, :half], x[:, half:]
            y = relu(
                net.norm(f'{key}.bn1', net.conv(f'{key}.conv1', right, half))
            )
            y = net.conv(f'{key}.conv2', y, half, 3, groups=half)
            y = net.conv(f'{key}.conv3', net.norm(f'{key}.bn2', y), half)
            y = net.norm(f'{key}.bn3', y)
            x = shuffle(torch.cat([left, relu(y)], 1), 2)
        before.append(torch.cat([left, y], 1))
        maps.append(x)
    x = relu(net.norm('bn2', net.conv('conv2', x, widths[3])))
    return [*maps, x], [*before, x], 'linear'


def densenet(net, x, layers, growth, stem, compression, bottleneck=True):
    x = net.conv('conv0', x, stem, 3)
    maps, before = [x], [x]
    for block in (1, 2, 3):
        for layer in range(1, layers + 1):
            key = f'denseblock{block}.denselayer{layer}'
            y = relu(net.norm(f'{key}.norm1', x))
            if bottleneck:
                y = net.conv(f'{key}.conv1', y, 4 * growth)
                y = relu(net.norm(f'{key}.norm2', y))
                y = net.conv(f'{key}.conv2', y, growth, 3)
            else:
                y = net.conv(f'{key}.conv1', y, growth, 3)
            x = torch.cat([x, y], 1)
        maps.append(x)
        if block < 3:
            key = f'transition{block}'
            y = net.norm(f'{key}.norm', x)
            width = int(x.shape[1] * compression)
            x = net.conv(f'{key}.conv', relu(y), width)
            x = F.avg_pool2d(x, 2, 2)
        else:
            y = net.norm('norm_final_', x)
            x = relu(y)
        before.append(y)
    return [*maps, x], [*before, x], 'classifier'


#: The benchmarks' networks by name.
NETWORKS = {
    **{
        f'resnet{d}': partial(resnet, depth=d, widths=(16, 16, 32, 64))
        for d in (8, 14, 20, 32, 44, 56, 110)
    },
    **{
        f'resnet{d}x4': partial(resnet, depth=d, widths=(32, 64, 128, 256))
        for d in (8, 32)
    },
    **{
        f'wrn_{d}_{k}': partial(wide_resnet, depth=d, factor=k)
        for d in (16, 40)
        for k in (1, 2)
    },
    **{f'vgg{d}': partial(vgg, depth=d) for d in VGG},
    'ResNet50': partial(bottleneck_resnet, blocks=(3, 4, 6, 3), stem=64),
    'MobileNetV2': partial(mobilenet_v2, factor=0.5, expand=6),
    'ShuffleV1': partial(
        shufflenet_v1, widths=(240, 480, 960), blocks=(4, 8, 4), groups=3
    ),
    'ShuffleV2': partial(
        shufflenet_v2, widths=(116, 232, 464, 1024), blocks=(3, 7, 3)
    ),
    'densenet_40_12': partial(
        densenet, layers=6, growth=12, stem=24, compression=0.5
    ),
}
