"""The CIFAR zoo beside the reference networks of ``reference_networks``."""

import math
from functools import partial

import pytest
import reference_networks
import torch
from reference_networks import NETWORKS, Reference
from torch import nn

from mmdistill.models import RepresentationReader
from mmdistill.models.backbones import CIFAR_ZOO, cifar_classifier
from mmdistill.models.backbones.cifar_zoo import (
    REPDISTILLER_ZOO,
    from_repdistiller,
    repdistiller_linear,
    to_repdistiller,
)
from mmdistill.registry import MODELS

# With 100 classes. Each is derived twice more: by a closed form, and by the
# layers of a second network.
COUNTS = {
    'resnet8': 83_892,
    'resnet14': 181_108,
    'resnet20': 278_324,
    'resnet32': 472_756,
    'resnet44': 667_188,
    'resnet56': 861_620,
    'resnet110': 1_736_564,
    'resnet8x4': 1_233_540,
    'resnet32x4': 7_433_860,
    'wrn_16_1': 180_916,
    'wrn_16_2': 703_284,
    'wrn_40_1': 569_780,
    'wrn_40_2': 2_255_156,
    'vgg8': 3_965_028,
    'vgg11': 9_277_284,
    'vgg13': 9_462_180,
    'vgg16': 14_774_436,
    'vgg19': 20_086_692,
    'ResNet50': 23_705_252,
    'MobileNetV2': 812_836,
    'ShuffleV1': 949_258,
    'ShuffleV2': 1_355_528,
    'densenet_40_12': 188_092,
}

# Shapes of all maps of a 32x32 image; the lists of features that the
# reference returns, with the pooled map unpooled.
SHAPES = {
    'resnet8': [(16, 32), (16, 32), (32, 16), (64, 8)],
    'resnet32x4': [(32, 32), (64, 32), (128, 16), (256, 8)],
    'wrn_16_2': [(16, 32), (32, 32), (64, 16), (128, 8), (128, 8)],
    'vgg8': [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    'ResNet50': [(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)],
    'MobileNetV2': [
        (16, 16), (12, 16), (16, 8), (48, 4), (160, 2), (1280, 2)
    ],
    'ShuffleV1': [(24, 32), (240, 16), (480, 8), (960, 4)],
    'ShuffleV2': [(24, 32), (116, 16), (232, 8), (464, 4), (1024, 4)],
    'densenet_40_12': [(24, 32), (96, 32), (120, 16), (132, 8), (132, 8)],
}  # fmt: skip

# A small network of every family: ours, and the flow of the reference.
SMALL = {
    'wide': (
        dict(type='CIFARWideResNet', depth=16, widen_factor=2),
        partial(reference_networks.wide_resnet, depth=16, factor=2),
    ),
    'vgg': (
        dict(type='CIFARVGG', depth=11),
        partial(reference_networks.vgg, depth=11),
    ),
    'bottleneck': (
        dict(type='CIFARBottleneckResNet', blocks=(2, 1, 2), width=4),
        partial(
            reference_networks.bottleneck_resnet, blocks=(2, 1, 2), stem=4
        ),
    ),
    'mobile': (
        dict(type='CIFARMobileNetV2', widen_factor=0.25, expand_ratio=2),
        partial(reference_networks.mobilenet_v2, factor=0.25, expand=2),
    ),
    'mobile_wider': (
        dict(type='CIFARMobileNetV2', widen_factor=1.25, expand_ratio=1),
        partial(reference_networks.mobilenet_v2, factor=1.25, expand=1),
    ),
    'shuffle1': (
        dict(
            type='CIFARShuffleNetV1',
            widths=(32, 48, 64),
            blocks=(2, 1, 2),
            groups=2,
        ),
        partial(
            reference_networks.shufflenet_v1,
            widths=(32, 48, 64),
            blocks=(2, 1, 2),
            groups=2,
        ),
    ),
    'shuffle2': (
        dict(
            type='CIFARShuffleNetV2', widths=(8, 12, 20, 30), blocks=(2, 1, 1)
        ),
        partial(
            reference_networks.shufflenet_v2,
            widths=(8, 12, 20, 30),
            blocks=(2, 1, 1),
        ),
    ),
    'dense': (
        dict(type='CIFARDenseNet', depth=16, growth_rate=3),
        partial(
            reference_networks.densenet,
            layers=2,
            growth=3,
            stem=24,
            compression=0.5,
        ),
    ),
    'dense_plain': (
        dict(
            type='CIFARDenseNet',
            depth=10,
            growth_rate=3,
            bottleneck=False,
            compression=1.0,
            stem_channels=16,
        ),
        partial(
            reference_networks.densenet,
            layers=2,
            growth=3,
            stem=16,
            compression=1.0,
            bottleneck=False,
        ),
    ),
}


def on_meta(cfg):
    """A model with shapes and without memory."""
    with torch.device('meta'):
        return MODELS.build(cfg)


def weights(cfg):
    return sum(p.numel() for p in on_meta(cfg).parameters())


def renamed(reference, name):
    """The reference's weights under the names of our classifier."""
    state = reference.state()
    if name in REPDISTILLER_ZOO:
        return from_repdistiller(state, name)
    return {
        f'head.fc.{key.removeprefix("classifier.")}'
        if key.startswith('classifier.')
        else f'backbone.{key}': value
        for key, value in state.items()
    }


def pair(name, num_classes=10):
    """A reference with random weights and our classifier with the same."""
    reference = Reference(NETWORKS[name], num_classes).randomise().double()
    model = MODELS.build(cifar_classifier(name, num_classes)).double().eval()
    model.load_state_dict(renamed(reference, name), strict=True)
    return reference, model


def small_pair(kind, **kwargs):
    cfg, flow = SMALL[kind]
    reference = Reference(flow).randomise().double()
    backbone = MODELS.build(dict(cfg, **kwargs)).double()
    last = list(reference.layers)[-1]
    state = reference.state()
    backbone.load_state_dict(
        {k: v for k, v in state.items() if not k.startswith(f'{last}.')},
        strict=True,
    )
    return reference, backbone


# Parameters ------------------------------------------------------------------
def resnet_form(depth, widths):
    n = (depth - 2) // 6
    total = 27 * widths[0] + 2 * widths[0]
    for i in (1, 2, 3):
        before, c = widths[i - 1], widths[i]
        total += 9 * c * before + 9 * c * c + 4 * c
        total += (n - 1) * (18 * c * c + 4 * c)
        if i > 1 or before != c:
            total += before * c + 2 * c
    return total + 100 * widths[3] + 100


def wide_form(depth, k):
    n = (depth - 4) // 6
    total, before = 27 * 16, 16
    for c in (16 * k, 32 * k, 64 * k):
        total += 2 * before + 9 * before * c + 2 * c + 9 * c * c
        total += before * c if before != c else 0
        total += (n - 1) * (4 * c + 18 * c * c)
        before = c
    return total + 2 * before + 100 * before + 100


def vgg_form(convolutions):
    total, before = 0, 3
    for c, n in zip((64, 128, 256, 512, 512), convolutions, strict=True):
        total += 9 * before * c + (n - 1) * 9 * c * c + n * 3 * c
        before = c
    return total + 100 * 512 + 100


def bottleneck_form(blocks, stem):
    total, before = 27 * stem + 2 * stem, stem
    for i, n in enumerate(blocks):
        c = stem * 2**i
        total += before * 4 * c + 8 * c  # the projection
        total += before * c + (n - 1) * 4 * c * c  # conv1
        total += n * (9 * c * c + 4 * c * c + 2 * c + 2 * c + 8 * c)
        before = 4 * c
    return total + 100 * before + 100


def mobile_form(k=0.5, t=6):
    total, before = 27 * int(32 * k) + 2 * int(32 * k), int(32 * k)
    for c, n in ((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3),
                 (320, 1)):  # fmt: skip
        for _ in range(n):
            inner = before * (t if c > 16 else 1)
            total += before * inner + 9 * inner + inner * int(c * k)
            total += 4 * inner + 2 * int(c * k)
            before = int(c * k)
    return total + before * 1280 + 2560 + 128_000 + 100


def shuffle1_form(widths=(240, 480, 960), blocks=(4, 8, 4), g=3):
    total, before = 3 * 24 + 48, 24
    for c, n in zip(widths, blocks, strict=True):
        new = c - before
        total += before * (new // 4) // (1 if before == 24 else g)
        total += 9 * (new // 4) + (new // 4) * new // g + 4 * (new // 4)
        total += 2 * new
        q = c // 4
        total += (n - 1) * (2 * c * q // g + 9 * q + 4 * q + 2 * c)
        before = c
    return total + 100 * before + 100


def shuffle2_form(widths=(116, 232, 464), last=1024, blocks=(3, 7, 3)):
    total, before = 3 * 24 + 48, 24
    for c, n in zip(widths, blocks, strict=True):
        h = c // 2
        total += 9 * before + 2 * before + before * h + 2 * h  # left
        total += before * h + 2 * h + 9 * h + 2 * h + h * h + 2 * h
        total += n * (2 * h * h + 9 * h + 6 * h)
        before = c
    return total + before * last + 2 * last + 100 * last + 100


def dense_form(n=6, k=12, stem=24, theta=0.5, bottleneck=True, classes=100):
    total, c = 27 * stem, stem
    for block in range(3):
        for _ in range(n):
            total += 2 * c
            if bottleneck:
                total += c * 4 * k + 8 * k + 9 * 4 * k * k
            else:
                total += 9 * c * k
            c += k
        if block < 2:
            total += 2 * c + c * int(c * theta)
            c = int(c * theta)
    return total + 2 * c + classes * c + classes


CLOSED_FORMS = {
    **{
        f'resnet{d}': partial(resnet_form, d, (16, 16, 32, 64))
        for d in (8, 14, 20, 32, 44, 56, 110)
    },
    'resnet8x4': partial(resnet_form, 8, (32, 64, 128, 256)),
    'resnet32x4': partial(resnet_form, 32, (32, 64, 128, 256)),
    **{
        f'wrn_{d}_{k}': partial(wide_form, d, k)
        for d in (16, 40)
        for k in (1, 2)
    },
    'vgg8': partial(vgg_form, (1, 1, 1, 1, 1)),
    'vgg11': partial(vgg_form, (1, 1, 2, 2, 2)),
    'vgg13': partial(vgg_form, (2, 2, 2, 2, 2)),
    'vgg16': partial(vgg_form, (2, 2, 3, 3, 3)),
    'vgg19': partial(vgg_form, (2, 2, 4, 4, 4)),
    'ResNet50': partial(bottleneck_form, (3, 4, 6, 3), 64),
    'MobileNetV2': mobile_form,
    'ShuffleV1': shuffle1_form,
    'ShuffleV2': shuffle2_form,
    'densenet_40_12': dense_form,
}


def test_names_are_those_of_the_benchmarks():
    assert set(CIFAR_ZOO) == set(COUNTS) == set(NETWORKS) == set(CLOSED_FORMS)
    assert set(REPDISTILLER_ZOO) == set(COUNTS) - {'densenet_40_12'}


@pytest.mark.parametrize('name', CIFAR_ZOO)
def test_parameter_count_is_the_references(name):
    assert CLOSED_FORMS[name]() == COUNTS[name]
    assert weights(cifar_classifier(name)) == COUNTS[name]
    assert Reference(NETWORKS[name]).count() == COUNTS[name]


def test_parameter_counts_of_other_published_networks():
    # DenseNet (L=40, k=12) of the paper, 1.0M for CIFAR-10 in its table 2
    plain = dict(bottleneck=False, compression=1.0, stem_channels=16)
    cfg = dict(type='CIFARDenseNet', depth=40, growth_rate=12, **plain)
    form = dense_form(12, 12, 16, 1.0, bottleneck=False, classes=10)
    assert weights(cfg) + 448 * 10 + 10 == form == 1_019_722
    # what MCL-OKD's models/resnet.py calls resnet110
    cfg = dict(type='CIFARBottleneckResNet', blocks=(12, 12, 12), width=16)
    form = bottleneck_form((12, 12, 12), 16)
    assert weights(cfg) + 256 * 100 + 100 == form


# Values ----------------------------------------------------------------------
@pytest.mark.parametrize('name', CIFAR_ZOO)
def test_logits_equal_the_references(name):
    reference, model = pair(name)
    image = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = reference(image)[2]
        torch.testing.assert_close(model(image, mode='tensor'), expected)

    if name in REPDISTILLER_ZOO:  # and back
        state = to_repdistiller(model.state_dict(), name)
        assert set(state) == set(reference.state())
        for key, value in reference.state().items():
            assert torch.equal(state[key], value)


@pytest.mark.parametrize('pre_activation', [False, True])
@pytest.mark.parametrize('kind', SMALL)
def test_maps_and_gradients_equal_the_reference(kind, pre_activation):
    reference, backbone = small_pair(
        kind, out_indices=0, pre_activation=pre_activation
    )
    backbone.out_indices = range(1 << 16)  # as the reader asks for all
    image = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    maps, before, _ = reference(image, training=True)
    expected = before if pre_activation else maps

    backbone.train()
    found = backbone(image)

    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)

    # a loss on every map at once: an in-place ReLU would raise or change it
    sum(m.square().mean() for m in found).backward()
    sum(m.square().mean() for m in expected).backward()
    for name, parameter in backbone.named_parameters():
        theirs = reference.parameter(name)
        torch.testing.assert_close(parameter.grad, theirs.grad, msg=name)
        # what a convolution's bias adds, the batch norm behind it takes off
        if not (kind == 'vgg' and name.endswith('0.bias')):
            assert parameter.grad.abs().sum() > 0, name
    for name, buffer in backbone.named_buffers():
        torch.testing.assert_close(buffer, reference.state()[name], msg=name)


@pytest.mark.parametrize('kind', SMALL)
def test_evaluated_maps_equal_the_reference(kind):
    reference, backbone = small_pair(kind)
    backbone.eval()
    backbone.out_indices = range(1 << 16)
    image = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    maps, before, _ = reference(image)
    for pre_activation, expected in ((False, maps), (True, before)):
        backbone.pre_activation = pre_activation
        for ours, theirs in zip(backbone(image), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_vgg_pools_images_of_height_64_once_more():
    reference, backbone = small_pair('vgg', out_indices=range(5))
    backbone.eval()
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    found, expected = backbone(image), reference(image)[0]
    assert found[-1].shape[2] == 4
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


# Maps ------------------------------------------------------------------------
@pytest.mark.parametrize('name', SHAPES)
def test_reader_finds_the_maps(name):
    model = MODELS.build(cifar_classifier(name, 5)).eval()
    shapes = {
        i: (1, channels, size, size)
        for i, (channels, size) in enumerate(SHAPES[name])
    }
    reader = RepresentationReader(model)
    dry, found = reader.dry_run((3, 32, 32), with_maps=True)
    assert found == shapes
    assert dry.feature.shape[1] == shapes[max(shapes)][1]

    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = model(image, mode='tensor')
        for numbers in ((), (1,), (0, 2), tuple(shapes)):
            reader.numbers = numbers
            got = reader(image)
            torch.testing.assert_close(got.logits, expected)
            torch.testing.assert_close(model.head.fc(got.feature), expected)
            assert [m.shape[1:] for m in got.maps] == [
                shapes[n][1:] for n in numbers
            ]


@pytest.mark.parametrize('name', SHAPES)
def test_stages_are_numbered_from_the_stem(name):
    """The maps that losses compare are 1 ... num_stages, whatever pools."""
    backbone = on_meta(cifar_classifier(name)['backbone'])
    pooled = getattr(backbone, 'has_pooled_map', False)
    assert backbone.first_map == 0
    assert len(SHAPES[name]) == backbone.num_stages + 1 + pooled
    assert backbone.out_indices == (len(SHAPES[name]) - 1,)


@pytest.mark.parametrize('kind', SMALL)
def test_grey_images_and_odd_sizes(kind):
    cfg, flow = SMALL[kind]
    backbone = MODELS.build(dict(cfg, in_channels=1))
    backbone.out_indices = range(9)
    reference = Reference(flow, in_channels=1)
    for size in ((33, 17), (16, 24)):
        image = torch.rand(2, 1, *size)
        expected = [m.shape for m in reference(image, training=True)[0]]
        assert [m.shape for m in backbone(image)] == expected


@pytest.mark.parametrize(
    ('given', 'numbered'),
    [((4,), (4,)), (3, (3,)), ([0, 2], (0, 2)), ((-1,), (4,)),
     ((-5, -2, 1), (0, 1, 3)), ((3, 1), (1, 3)), (range(5), (0, 1, 2, 3, 4))],
)  # fmt: skip
def test_out_indices_select_ascending_maps(given, numbered):
    _, every = small_pair('wide', out_indices=range(5))
    chosen = MODELS.build(dict(SMALL['wide'][0], out_indices=given)).double()
    chosen.load_state_dict(every.state_dict())
    every.eval()
    chosen.eval()
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    maps = chosen(image)
    assert chosen.out_indices == numbered
    assert isinstance(maps, tuple)
    for index, found in zip(numbered, maps, strict=True):
        torch.testing.assert_close(found, every(image)[index])


@pytest.mark.parametrize('given', [(5,), (-6,), (0, 9), (), (1, 1), (4, -1)])
def test_out_indices_that_do_not_exist(given):
    with pytest.raises(
        ValueError, match=r'1 \.\.\. 3 \(stages\), 4 \(pooled\).*got out_ind'
    ):
        on_meta(dict(type='CIFARWideResNet', depth=10, out_indices=given))


def test_out_indices_without_a_pooled_map():
    with pytest.raises(ValueError, match=r'1 \.\.\. 4 \(stages\) or.*-5 '):
        on_meta(dict(type='CIFARVGG', depth=8, out_indices=5))
    with pytest.raises(ValueError, match=r'1 \.\.\. 2 \(stages\) or.*-3 '):
        on_meta(
            dict(type='CIFARBottleneckResNet', blocks=(1, 1), out_indices=3)
        )


# Arguments -------------------------------------------------------------------
@pytest.mark.parametrize(
    ('kind', 'kwargs', 'message'),
    [
        ('WideResNet', dict(depth=20), r'6n \+ 4 .*got depth=20'),
        ('WideResNet', dict(depth=4), 'got depth=4'),
        ('WideResNet', dict(depth=16, widen_factor=0), 'got widen_factor=0'),
        ('WideResNet', dict(depth=16, widen_factor=1.5), 'factor=1.5'),
        ('VGG', dict(depth=12), '8, 11, 13, 16, 19, got depth=12'),
        ('VGG', dict(depth=8, widths=(1, 2)), r'five .*got widths=\(1, 2\)'),
        ('BottleneckResNet', dict(blocks=()), r'got blocks=\(\)'),
        ('BottleneckResNet', dict(blocks=(1, 0)), r'got blocks=\(1, 0\)'),
        ('BottleneckResNet', dict(width=0), 'got width=0'),
        ('MobileNetV2', dict(widen_factor=0.01), 'got widen_factor=0.01'),
        ('MobileNetV2', dict(expand_ratio=0), 'expand_ratio=0'),
        ('ShuffleNetV1', dict(blocks=(1, 1)), r'got .*blocks=\(1, 1\)'),
        ('ShuffleNetV1', dict(groups=4), 'got .*groups=4'),
        ('ShuffleNetV1', dict(widths=(24, 48, 96)), 'got widths=.24, 48'),
        ('ShuffleNetV2', dict(widths=(7, 8, 8, 8)), r'even.*got widths=\(7'),
        ('ShuffleNetV2', dict(blocks=(1, 1)), r'got blocks=\(1, 1\)'),
        ('DenseNet', dict(depth=39), r'6n \+ 4 .*got depth=39'),
        ('DenseNet', dict(depth=9, bottleneck=False), r'3n \+ 4 '),
        ('DenseNet', dict(growth_rate=0), 'got growth_rate=0'),
        ('DenseNet', dict(compression=1.5), 'compression=1.5'),
    ],
)
def test_arguments_that_make_no_network(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        on_meta(dict(type=f'CIFAR{kind}', **kwargs))


def test_name_that_is_not_in_the_zoo():
    with pytest.raises(ValueError, match="'wrn40_2' is.*mean wrn_40_2.*vgg8"):
        cifar_classifier('wrn40_2')
    with pytest.raises(ValueError, match='It has: resnet8'):
        cifar_classifier('efficientnet')
    with pytest.raises(ValueError, match='RepDistiller has no densenet_40_12'):
        repdistiller_linear('densenet_40_12')


def test_configs_are_fresh():
    cfg = cifar_classifier('vgg8', 7)
    cfg['backbone']['depth'] = 11
    cfg['head']['init_cfg']['std'] = 1
    assert cfg['head']['num_classes'] == 7
    assert cifar_classifier('vgg8')['backbone']['depth'] == 8
    assert cifar_classifier('vgg8')['head']['init_cfg']['std'] == 0.01


# Initialisation --------------------------------------------------------------
def moments(weight, std):
    """Mean, variance and kurtosis are a normal variable's, at five sigma."""
    x = weight.detach().flatten() / std
    error = 5 / math.sqrt(len(x))
    assert abs(x.mean()) < error
    assert abs(x.square().mean() - 1) < math.sqrt(2) * error
    assert abs(x.pow(4).mean() - 3) < math.sqrt(96) * error


def is_uniform(x, bound):
    """What torch's own layers draw from: uniform within +-bound."""
    x = x.detach().flatten()
    assert x.abs().max() <= bound
    error = 5 / math.sqrt(len(x))
    assert abs(x.square().mean() / bound**2 - 1 / 3) < error


@pytest.mark.parametrize('name', SHAPES)
def test_initialised_as_the_reference(name):
    torch.manual_seed(0)
    model = MODELS.build(cifar_classifier(name))
    model.init_weights()
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    # Together: a convolution of few weights alone may be an outlier.
    for conv in convs:
        assert conv.bias is None or (conv.bias == 0).all()
    scaled = []
    for conv in convs:
        area = math.prod(conv.kernel_size)
        fan_in = conv.in_channels // conv.groups * area
        fan_out = conv.out_channels * area
        if name.startswith('Shuffle'):
            is_uniform(conv.weight, 1 / math.sqrt(fan_in))
            continue
        fan = fan_in if name.startswith('densenet') else fan_out
        scaled.append(conv.weight.flatten() / math.sqrt(2 / fan))
    if scaled:
        moments(torch.cat(scaled), 1)
    for norm in norms:
        assert (norm.weight == 1).all() and (norm.bias == 0).all()

    linear = model.head.fc
    bound = 1 / math.sqrt(linear.in_features)
    if name.startswith(('vgg', 'Mobile')):
        moments(linear.weight, 0.01)
        assert (linear.bias == 0).all()
    else:
        is_uniform(linear.weight, bound)
        without_bias = name.startswith(('wrn', 'densenet'))
        assert (linear.bias == 0).all() == without_bias
