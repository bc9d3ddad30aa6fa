"""Stages that several networks share run once."""

import copy

import pytest
import torch
from helpers import digits_batch, losses_of
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from online_distiller import BRANCH, GAP, MCL, build, images, networks

from mmdistill.export import student_checkpoint
from mmdistill.registry import MODELS


def test_shared_stages_run_once_and_exist_once():
    model = build(**BRANCH)
    calls = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda *_, name=name: calls.append(name)
            )
    losses_of(model, digits_batch())
    names = [name.replace('.conv1', '') for name in calls]
    assert len(calls) == len(set(calls))
    early = [n for n in names if n.endswith('backbone') or 'layer1' in n]
    assert early and all(n.startswith('student.') for n in early)

    shared = sum(
        p.numel()
        for n, p in model.student.named_parameters()
        if n.startswith(('backbone.conv1', 'backbone.bn1', 'backbone.layer1'))
    )
    whole = sum(p.numel() for p in model.student.parameters())
    for peer in model.peers:
        assert sum(p.numel() for p in peer.parameters()) == whole - shared

    state = model.state_dict()
    pointers = [v.data_ptr() for k, v in state.items() if 'losses' not in k]
    assert len(pointers) == len(set(pointers))
    assert not any('peers' in k and 'layer1' in k for k in state)
    wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=1))
    )
    groups = wrapper.optimizer.param_groups
    held = [id(p) for group in groups for p in group['params']]
    assert len(held) == len(set(held)) == len(list(model.parameters()))


BACKBONES = dict(
    resnet=(dict(type='CIFARResNet', depth=8), 64),
    bottleneck=(
        dict(type='CIFARBottleneckResNet', blocks=(1, 1, 1), width=4),
        64,
    ),
    wrn=(dict(type='CIFARWideResNet', depth=10), 64),
    vgg=(dict(type='CIFARVGG', depth=8, widths=(4, 4, 8, 8, 8)), 8),
    densenet=(dict(type='CIFARDenseNet', depth=16, growth_rate=4), 20),
    mobilenet_v2=(dict(type='CIFARMobileNetV2', widen_factor=0.25), 1280),
    shufflenet_v1=(dict(type='CIFARShuffleNetV1', blocks=(1, 1, 1)), 960),
    shufflenet_v2=(dict(type='CIFARShuffleNetV2', blocks=(1, 1, 1)), 1024),
    resnet18=(
        dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        64,
    ),
)

CUTS = dict.fromkeys(BACKBONES, (0, 2)) | dict(
    wrn=(1, 2), resnet18=(1, 3), vgg=(0, 3)
)


def classifier(name):
    backbone, width = BACKBONES[name]
    head = dict(type='LinearClsHead', num_classes=10, in_channels=width)
    return dict(type='ImageClassifier', backbone=backbone, neck=GAP, head=head)


@pytest.mark.parametrize(
    ('name', 'cut'), [(n, cut) for n in BACKBONES for cut in CUTS[n]]
)
def test_every_backbone_can_be_cut(name, cut):
    model = build(
        student=classifier(name),
        num_peers=2,
        mode='branch',
        cut=cut,
        losses=dict(dml=dict(type='DMLLoss'), mcl=MCL),
        input_size=(3, 32, 32),
        data_preprocessor=dict(mean=[0.0] * 3, std=[1.0] * 3),
    )
    model.init_weights()
    x = torch.randn(4, 3, 32, 32)
    model.train()
    peers, _ = model.group.read(x)  # some statistics
    sum(peer.logits.sum() for peer in peers).backward()
    assert all(p.grad is not None for p in model.student.parameters())
    model.eval()
    peers, _ = model.group.read(x)
    (network, _) = networks(model)
    torch.testing.assert_close(peers[0].logits, network(x))
    assert not torch.equal(peers[0].logits, peers[1].logits)

    file = student_checkpoint(model, Config())
    plain = MODELS.build(Config.fromstring(file['meta']['cfg'], '.py').model)
    plain.load_state_dict(file['state_dict'])
    assert not any('peers' in k or 'losses' in k for k in file['state_dict'])
    assert torch.equal(plain.eval()(x), peers[1].logits)


def test_a_copy_hands_over_its_own_map():
    """As MMEngine's EMAHook copies a model."""
    model = build(**BRANCH)
    twin = copy.deepcopy(model).eval()
    x = images()
    before, _ = twin.group.read(x)
    for p in model.parameters():
        p.data.zero_()
    after, _ = twin.group.read(x)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.logits, other.logits)
