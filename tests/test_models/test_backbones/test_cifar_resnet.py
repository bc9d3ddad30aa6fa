import math

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from torch import nn

from mmdistill.models.backbones import CIFARResNet
from mmdistill.registry import MODELS

NARROW = (16, 16, 32, 64)
WIDE = (32, 64, 128, 256)


class ReferenceResNet(nn.Module):
    """The benchmark's network, written a second time and from its tables.

    Every layer is in one flat dict under the reference's names, the flow is
    spelled out, and nothing runs in place.
    """

    def __init__(self, depth, widths, num_classes):
        super().__init__()
        self.blocks = (depth - 2) // 6
        self.layers = {}
        self._conv_bn('conv1', 'bn1', 3, widths[0], 3, 1)
        channels = widths[0]
        for stage, width in enumerate(widths[1:], 1):
            for block in range(self.blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                name = f'layer{stage}.{block}'
                self._conv_bn(
                    f'{name}.conv1', f'{name}.bn1', channels, width, 3, stride
                )
                self._conv_bn(
                    f'{name}.conv2', f'{name}.bn2', width, width, 3, 1
                )
                if stride == 2 or channels != width:
                    self._conv_bn(
                        f'{name}.downsample.0',
                        f'{name}.downsample.1',
                        channels,
                        width,
                        1,
                        stride,
                    )
                channels = width
        self.layers['fc'] = nn.Linear(channels, num_classes)

    def _conv_bn(self, conv, bn, channels, width, kernel, stride):
        self.layers[conv] = nn.Conv2d(
            channels, width, kernel, stride, kernel // 2, bias=False
        )
        self.layers[bn] = nn.BatchNorm2d(width)

    def randomise(self):
        """Weights and statistics with no two channels alike."""
        for layer in self.layers.values():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
                nn.init.normal_(layer.running_mean, std=0.5)
                nn.init.normal_(layer.bias, std=0.5)

    def state(self):
        return {
            f'{name}.{key}': tensor
            for name, layer in self.layers.items()
            for key, tensor in layer.state_dict().items()
        }

    def forward(self, x, training=False):
        for layer in self.layers.values():
            layer.train(training)
        run = self.layers
        x = torch.relu(run['bn1'](run['conv1'](x)))
        before, after = [x], [x]
        for stage in (1, 2, 3):
            for block in range(self.blocks):
                name = f'layer{stage}.{block}'
                y = torch.relu(run[f'{name}.bn1'](run[f'{name}.conv1'](x)))
                y = run[f'{name}.bn2'](run[f'{name}.conv2'](y))
                if f'{name}.downsample.0' in run:
                    x = run[f'{name}.downsample.0'](x)
                    x = run[f'{name}.downsample.1'](x)
                y = x + y
                x = torch.relu(y)
            before.append(y)
            after.append(x)
        return before, after, run['fc'](x.mean(dim=(2, 3)))


def closed_form(depth, widths, num_classes=100):
    """Parameters with the linear layer, from the paper's table of layers."""
    n = (depth - 2) // 6
    stem, *stages = widths
    total = 27 * stem + 2 * stem
    for before, width, stride in zip(
        (stem, *stages), stages, (1, 2, 2), strict=False
    ):
        total += 9 * width * before + 9 * width**2 + 4 * width
        total += (n - 1) * (18 * width**2 + 4 * width)
        if stride == 2 or before != width:
            total += before * width + 2 * width
    return total + stages[-1] * num_classes + num_classes


def classifier(depth, widths, num_classes=100):
    return ImageClassifier(
        backbone=dict(
            type='mmdistill.CIFARResNet', depth=depth, widths=widths
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=num_classes,
            in_channels=widths[-1],
            init_cfg=None,
        ),
    )


def randomised(depth=14, widths=(4, 6, 8, 12), **kwargs):
    """A reference with random weights and a backbone that holds the same."""
    torch.manual_seed(0)
    reference = ReferenceResNet(depth, widths, num_classes=7)
    reference.randomise()
    state = reference.state()
    state = {k: v for k, v in state.items() if not k.startswith('fc.')}
    model = CIFARResNet(depth, widths, **kwargs)
    model.load_state_dict(state, strict=True)
    return reference, model


@pytest.mark.parametrize(
    ('depth', 'widths', 'count'),
    [
        (8, NARROW, 83_892),
        (14, NARROW, 181_108),
        (20, NARROW, 278_324),
        (32, NARROW, 472_756),
        (44, NARROW, 667_188),
        (56, NARROW, 861_620),
        (110, NARROW, 1_736_564),
        (8, WIDE, 1_233_540),
        (32, WIDE, 7_433_860),
        (8, (4, 4, 8, 16), None),
    ],
)
def test_parameter_count_is_the_benchmarks(depth, widths, count):
    expected = closed_form(depth, widths)
    assert count in (None, expected)
    model = classifier(depth, widths)
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(
    ('depth', 'widths'), [(8, NARROW), (14, WIDE), (20, (4, 4, 8, 16))]
)
def test_classifier_equals_the_reference(depth, widths):
    torch.manual_seed(0)
    reference = ReferenceResNet(depth, widths, num_classes=10)
    reference.randomise()
    model = classifier(depth, widths, num_classes=10).eval()
    renamed = {
        f'head.{key}' if key.startswith('fc.') else f'backbone.{key}': value
        for key, value in reference.state().items()
    }
    model.load_state_dict(renamed, strict=True)

    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        logits = model.head(model.extract_feat(image))
        torch.testing.assert_close(logits, reference(image)[2])


@pytest.mark.parametrize('pre_activation', [False, True])
def test_maps_and_gradients_equal_the_reference(pre_activation):
    reference, model = randomised(
        out_indices=(0, 1, 2, 3), pre_activation=pre_activation
    )
    image = torch.rand(4, 3, 16, 16)
    before, after, _ = reference(image, training=True)
    expected = before if pre_activation else after

    model.train()
    maps = model(image)

    assert len(maps) == 4
    for ours, theirs in zip(maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs)

    # a loss on every map at once: an in-place ReLU would raise or change it
    sum(m.square().mean() for m in maps).backward()
    sum(m.square().mean() for m in expected).backward()
    for name, parameter in model.named_parameters():
        layer, _, kind = name.rpartition('.')
        theirs = getattr(reference.layers[layer], kind).grad
        assert parameter.grad.abs().sum() > 0, name
        torch.testing.assert_close(parameter.grad, theirs, msg=name)


def test_pre_activation_maps_are_those_before_the_relu():
    _, model = randomised(out_indices=(0, 1, 2, 3))
    image = torch.rand(2, 3, 32, 32)
    model.eval()
    after = model(image)
    model.pre_activation = True
    before = model(image)

    torch.testing.assert_close(before[0], after[0], rtol=0, atol=0)
    for pre, post in zip(before[1:], after[1:], strict=True):
        assert (pre < 0).any()
        torch.testing.assert_close(F.relu(pre), post, rtol=0, atol=0)


@pytest.mark.parametrize('size', [8, 32, 33])
def test_shapes(size):
    model = CIFARResNet(8, (4, 5, 6, 7), in_channels=1, out_indices=range(4))
    half, quarter = math.ceil(size / 2), math.ceil(size / 4)
    assert [tuple(m.shape) for m in model(torch.rand(2, 1, size, size))] == [
        (2, 4, size, size),
        (2, 5, size, size),
        (2, 6, half, half),
        (2, 7, quarter, quarter),
    ]


@pytest.mark.parametrize(
    ('given', 'numbered'),
    [
        ((3,), (3,)),
        (2, (2,)),
        ([0, 2], (0, 2)),
        ((-1,), (3,)),
        ((-4, -1, 1), (0, 1, 3)),
        ((3, 1), (1, 3)),
    ],
)
def test_out_indices_select_ascending_maps(given, numbered):
    _, every = randomised(out_indices=(0, 1, 2, 3))
    _, chosen = randomised(out_indices=given)
    every.eval()
    chosen.eval()
    image = torch.rand(1, 3, 8, 8)

    assert chosen.out_indices == numbered
    maps = chosen(image)
    assert isinstance(maps, tuple)
    for index, found in zip(numbered, maps, strict=True):
        torch.testing.assert_close(found, every(image)[index])

    # a distiller asks for other maps for the length of one forward pass
    chosen.out_indices = (0, 2)
    assert [m.shape[1] for m in chosen(image)] == [4, 8]


@pytest.mark.parametrize('given', [(4,), (-5,), (0, 9), (), (1, 1), (3, -1)])
def test_out_indices_that_do_not_exist(given):
    with pytest.raises(ValueError, match=r'0 \(stem\), 1, 2, 3 .*got out_ind'):
        CIFARResNet(8, out_indices=given)


@pytest.mark.parametrize('depth', [2, 7, 10, 18, -4])
def test_depth_that_is_not_6n_plus_2(depth):
    with pytest.raises(ValueError, match=rf'6n \+ 2 .*got depth={depth}'):
        CIFARResNet(depth)


@pytest.mark.parametrize('widths', [(16, 32, 64), (16,) * 5, (0, 1, 2, 3), ()])
def test_widths_that_are_not_four(widths):
    with pytest.raises(ValueError, match='four positive widths'):
        CIFARResNet(8, widths)


def test_initialised_as_the_reference():
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='CIFARResNet', depth=14, widths=(32, 32, 64, 128))
    )
    model.init_weights()
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 13 + 2
    for conv in convs:
        fan_out = conv.out_channels * math.prod(conv.kernel_size)
        weight = conv.weight / math.sqrt(2 / fan_out)
        # five standard errors; 3 is the fourth moment of a normal variable
        error = 5 / math.sqrt(weight.numel())
        assert abs(weight.mean()) < error
        assert abs(weight.square().mean() - 1) < math.sqrt(2) * error
        assert abs(weight.pow(4).mean() - 3) < math.sqrt(96) * error
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert (norm.weight == 1).all() and (norm.bias == 0).all()


def test_first_map_is_the_stem():
    assert CIFARResNet.first_map == 0
    assert CIFARResNet.num_stages == 3
