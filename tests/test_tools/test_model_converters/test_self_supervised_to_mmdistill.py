"""The converter of self-supervised networks, on files in their layouts."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from reference_encoders import (
    DINO,
    MoCo,
    ResNet,
    SwAV,
    VisionTransformer,
    in_ddp,
    randomise,
)
from torch import nn

from mmdistill.checkpoints import CheckpointError, load_file, trust_checkpoints
from mmdistill.models import SelfSupervisedEncoder
from mmdistill.models.distillers.teacher_file import load_teacher
from mmdistill.models.encoders import (
    dino_deit_small,
    dino_resnet50,
    from_authors,
    mocov2_resnet50,
    swav_resnet50,
)
from mmdistill.registry import MODELS

TOOL = 'model_converters/self_supervised_to_mmdistill'

WIDTH, HIDDEN, DIM, PROTOTYPES = 4, 24, 10, 30
HEAD = dict(hidden=HIDDEN, dim=DIM)


def small(cfg, **backbone):
    """A published encoder's config, made small."""
    if cfg['backbone']['type'] == 'ResNet':
        cfg['backbone'].update(stem_channels=WIDTH, base_channels=WIDTH)
    cfg['backbone'].update(backbone)
    cfg['head'].update(hidden_dim=HIDDEN, out_dim=DIM)
    if cfg['prototypes']:
        cfg['prototypes'].update(num_prototypes=PROTOTYPES)
    return cfg


def small_resnet():
    return ResNet(50, WIDTH)


def small_vit():
    return VisionTransformer(dim=48, depth=2, heads=3, image=64)


SMALL_VIT = dict(
    arch=dict(
        embed_dims=48, num_layers=2, num_heads=3, feedforward_channels=192
    ),
    img_size=64,
)


def dino_file(network, ddp):
    """A full checkpoint, whose student differs from the teacher."""
    student = {key: 2 * value for key, value in in_ddp(network).items()}
    return dict(
        student=student,
        teacher=in_ddp(network) if ddp else network.state_dict(),
        optimizer=torch.optim.AdamW([nn.Parameter(torch.ones(2))])
        .state_dict(),
        epoch=100,
        args=Namespace(arch='any', lr=5e-4, scale=(0.4, 1.0), fp16=True),
        dino_loss=dict(center=torch.zeros(1, 3)),
    )  # fmt: skip


def lengths(network):
    """norm_last_layer=False: lengths that were trained."""
    nn.init.uniform_(network.head.last_layer.weight_g, 0.5, 1.5)
    return network


def mocov2():
    network = randomise(MoCo(small_resnet, **HEAD))
    return (
        network,
        dict(epoch=200, arch='resnet50', state_dict=in_ddp(network)),
        small(mocov2_resnet50()),
    )


def swav(wrapped=False):
    network = randomise(SwAV(WIDTH, prototypes=PROTOTYPES, **HEAD))
    state = in_ddp(network)
    content = dict(epoch=800, state_dict=state) if wrapped else state
    return network, content, small(swav_resnet50())


def dino_resnet(norm=False):
    network = randomise(
        DINO(small_resnet(), prototypes=PROTOTYPES, norm=norm, **HEAD)
    )
    cfg = small(dino_resnet50())
    cfg['head'].update(batch_norm=norm, num_layers=3)
    cfg['prototypes']['weight_norm'] = False
    return network, dino_file(network, ddp=True), cfg


def dino_vit(trained_lengths=False):
    network = DINO(small_vit(), prototypes=PROTOTYPES, **HEAD)
    cfg = small(dino_deit_small(), **SMALL_VIT)
    if trained_lengths:
        lengths(network)
        cfg['prototypes']['weight_norm'] = True
    return network, dino_file(network, ddp=False), cfg


CASES = {
    'mocov2': mocov2,
    'swav': swav,
    'swav_state_dict': lambda: swav(wrapped=True),
    'dino_resnet': dino_resnet,
    'dino_resnet_norm': lambda: dino_resnet(norm=True),
    'dino_vit': dino_vit,
    'dino_vit_lengths': lambda: dino_vit(trained_lengths=True),
}


@pytest.fixture
def convert(main, tmp_path):
    """Converts what would be in a file, into another file."""
    source, target = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'

    def call(content, cfg=None, *options):
        torch.save(content, source)
        if cfg is not None:
            path = tmp_path / 'encoder.py'
            Config(dict(model=cfg)).dump(path)
            options = ('--config', path, *options)
        main(
            TOOL,
            source,
            target,
            *options,
        )
        return target

    yield call
    trust_checkpoints(False)


def check(path, cfg, image, expected):
    """Feature, embedding and scores of a teacher that loads the file."""
    teacher = MODELS.build(cfg).eval()
    load_teacher(teacher, str(path))
    rebuilt = Config.fromstring(load_file(path)['meta']['cfg'], '.py')
    again = MODELS.build(rebuilt.model).eval()
    again.load_state_dict(load_file(path)['state_dict'], strict=True)
    for encoder in (teacher, again):
        with torch.no_grad():
            got = encoder(image)
        found = got.feature, got.embedding, got.logits
        for value, wanted in zip(found, expected, strict=True):
            if wanted is None:
                assert value is None
            else:
                torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('case', CASES)
def test_outputs_are_the_authors(case, convert):
    network, content, cfg = CASES[case]()
    image = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        expected = network(image)
    path = convert(content, cfg)
    assert load_file(path)['meta']['layout'] == case.split('_')[0]
    check(path, cfg, image, expected)


@pytest.mark.parametrize('vit', [False, True], ids=['resnet', 'vit'])
def test_backbone_only(vit, convert):
    backbone = randomise(small_vit() if vit else small_resnet())
    cfg = small(dino_deit_small(), **SMALL_VIT) if vit else (
        small(dino_resnet50()))  # fmt: skip
    cfg.update(head=None, prototypes=None)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(image), None, None
    path = convert(backbone.state_dict(), cfg)
    assert load_file(path)['meta']['layout'] == 'dino_backbone'
    check(path, cfg, image, expected)


def plain_last_layer(network):
    """A state dict whose last layer was saved without its normalisation."""
    state = dict(network.state_dict())
    length = state.pop('head.last_layer.weight_g')
    direction = F.normalize(state.pop('head.last_layer.weight_v'))
    return {**state, 'head.last_layer.weight': length * direction}


@pytest.mark.parametrize(
    'layout', ['mocov2', 'dino_vit', 'dino_resnet', 'backbone']
)
def test_published_size_needs_no_config(layout, convert):
    """Head, prototypes, their number and lengths are read off the file."""
    if layout == 'mocov2':
        network = randomise(MoCo())
        content, cfg = dict(state_dict=in_ddp(network)), mocov2_resnet50()
    elif layout == 'dino_vit':
        network = lengths(randomise(DINO(VisionTransformer(), prototypes=50)))
        content = dict(teacher=network.state_dict())
        cfg = dino_deit_small(50)
        cfg['prototypes']['weight_norm'] = True
    elif layout == 'dino_resnet':
        head = dict(prototypes=50, depth=2, hidden=96, norm=True)
        network = lengths(randomise(DINO(ResNet(), **head)))
        content = dict(teacher=plain_last_layer(network))
        cfg = dino_resnet50(50)
        cfg['head'].update(num_layers=2, hidden_dim=96, batch_norm=True)
        cfg['prototypes']['weight_norm'] = True
    else:
        network = randomise(ResNet())
        content = network.state_dict()
        cfg = dict(dino_resnet50(), head=None, prototypes=None)
    size = 224 if layout == 'dino_vit' else 64
    image = torch.rand(1, 3, size, size)
    with torch.no_grad():
        expected = network(image)
    if layout == 'backbone':
        expected = expected, None, None
    check(convert(content), cfg, image, expected)


def test_prototypes_of_the_file_are_left_out_where_none_are_wanted(convert):
    network, content, cfg = swav()
    path = convert(content, cfg)
    cfg['prototypes'] = None
    teacher = MODELS.build(cfg)
    load_teacher(teacher, str(path))
    assert isinstance(teacher, SelfSupervisedEncoder)
    torch.testing.assert_close(
        teacher.head[3].weight, network.projection_head[3].weight
    )


@pytest.mark.parametrize(
    'content',
    [
        dict(state_dict={'fc.weight': torch.ones(2), 'a': torch.ones(2)}),
        {f'backbone.{i}': torch.ones(2) for i in range(9)},
        dict(model={'layer1.0.conv1.weight': torch.ones(2),
                    'fc.weight': torch.ones(2)}),
        dict(teacher={'backbone.conv1.weight': torch.ones(2)}, epoch=3),
    ],
    ids=['other', 'many', 'supervised', 'headless'],
)  # fmt: skip
def test_unknown_layout_lists_the_known_ones(content, convert, tmp_path):
    with pytest.raises(CheckpointError) as error:
        convert(content)
    message = str(error.value)
    assert 'theirs.pth' in message and str(list(content)[0]) in message
    for name in ('mocov2', 'swav', 'dino', 'dino_backbone', 'encoder_q'):
        assert name in message
    assert not (tmp_path / 'ours.pth').exists()


@pytest.mark.parametrize('content', [[torch.ones(2)], {}, dict(teacher=3)])
def test_no_weights(content, convert):
    with pytest.raises(CheckpointError, match='weights'):
        convert(content)


def test_wrong_architecture_or_width_names_the_keys(convert, tmp_path):
    _, content, _ = mocov2()
    with pytest.raises(
        CheckpointError, match=r'(?s)backbone.conv1.weight.*--config'
    ):
        convert(content)  # ResNet-50 is wider
    with pytest.raises(CheckpointError, match='backbone.layer1.0.bn3'):
        deep = MoCo(lambda: ResNet(18, WIDTH), **HEAD)
        cfg = small(mocov2_resnet50())
        convert(dict(state_dict=in_ddp(deep)), cfg)
    with pytest.raises(CheckpointError, match='head.2.weight'):
        cfg = small(mocov2_resnet50())
        cfg['head']['out_dim'] = DIM + 1
        convert(content, cfg)
    assert not (tmp_path / 'ours.pth').exists()


def test_left_over_weights_are_refused(convert):
    _, content, cfg = swav()
    content['module.prototypes.prototypes1.weight'] = torch.ones(2, DIM)
    with pytest.raises(CheckpointError, match='left over: prototypes.proto'):
        convert(content, cfg)


def test_help_names_layouts_and_encoders(main, capsys):
    with pytest.raises(SystemExit):
        main(TOOL, '--help')
    printed = capsys.readouterr().out
    for name in ('encoder_q', 'projection_head', 'last_layer', 'cls_token',
                 'mocov2_resnet50()', 'swav_resnet50(', 'dino_resnet50(',
                 'dino_deit_small('):  # fmt: skip
        assert name in printed


PAIR = 'configs/_base_/pairs/dino_resnet50_resnet18_ssl_in1k.py'
LEAVES = (
    'protocpc_dino_resnet50_resnet18_in1k',
    'protocpc_multicrop_dino_resnet50_resnet18_in1k',
    'protocpc_old_dino_resnet50_resnet18_in1k',
)
ROOT = Path(__file__).resolve().parents[3]


def published_dino_resnet50(width=64, **head):
    """The full checkpoint's network: a plain last layer, no lengths apart."""
    head = dict(prototypes=60000, depth=2, hidden=4096, norm=True) | head
    network = DINO(ResNet(50, width), **head)
    last = network.head.last_layer
    plain = nn.Linear(last.in_features, last.out_features, bias=False)
    network.head.last_layer = plain
    return network


def test_the_published_dino_resnet50_fits_its_pair():
    """Names and shapes of the full-size file, and of its pair's teacher."""
    state = published_dino_resnet50().state_dict()
    assert state['head.last_layer.weight'].shape == (60000, 256)
    pair = Config.fromfile(ROOT / PAIR)
    teacher = MODELS.build(pair.teacher.to_dict()).state_dict()
    layout, named = from_authors(dict(teacher=state), 'the file')
    assert layout == 'dino'
    shapes = {key: value.shape for key, value in named.items()}
    assert shapes == {
        key: value.shape
        for key, value in teacher.items()
        if not key.startswith('data_preprocessor.')
    }


@pytest.mark.parametrize('leaf', LEAVES)
def test_the_published_dino_resnet50_teaches(leaf, convert):
    """A file of its layout, made narrow, is converted and trained from."""
    sizes = dict(prototypes=PROTOTYPES, **HEAD)
    network = randomise(published_dino_resnet50(WIDTH, **sizes))
    cfg = Config.fromfile(ROOT / 'configs' / 'protocpc_ssl' / f'{leaf}.py')
    cfg = cfg.model.to_dict()
    small(cfg['teacher'])
    small(cfg['student'])
    path = convert(dict(teacher=in_ddp(network)), cfg['teacher'])
    cfg.update(teacher_ckpt=str(path), input_size=(3, 32, 32))
    model = MODELS.build(cfg).train()
    before = model.student.head[0].weight.detach().clone()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    losses = model([torch.rand(4, 3, 32, 32)], None, mode='loss')
    sum(losses.values()).backward()
    optimizer.step()
    assert not torch.equal(model.student.head[0].weight, before)
    if 'old' in leaf:  # scored by the file's own prototypes
        x = torch.rand(4, 3, 32, 32)
        with torch.no_grad():
            expected = network.eval()(x)[2]
        torch.testing.assert_close(
            model.targets['teacher'].reader(x).logits,
            expected,
            rtol=1e-4,
            atol=1e-5,
        )
