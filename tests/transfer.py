"""Networks of digits, and classifiers on what they learned."""

import copy

import torch
from helpers import digits_config, tiny_classifier

from mmdistill.registry import MODELS

GAP = dict(type='GlobalAveragePooling')


def vit():
    backbone = dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=16
        ),
        img_size=8,
        patch_size=4,
        in_channels=1,
        drop_rate=0.1,
    )
    head = dict(type='LinearClsHead', num_classes=10, in_channels=12)
    return dict(type='ImageClassifier', backbone=backbone, head=head)


def resnet():
    backbone = dict(
        type='ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4,
        in_channels=1,
    )  # fmt: skip
    head = dict(type='LinearClsHead', num_classes=10, in_channels=32)
    return dict(type='ImageClassifier', backbone=backbone, neck=GAP, head=head)


def bottle():
    """A neck with weights of its own."""
    cfg = tiny_classifier()
    cfg['neck'] = dict(
        type='LinearNeck', in_channels=16, out_channels=6, gap_dim=2,
        norm_cfg=dict(type='BN1d'),
    )  # fmt: skip
    cfg['head']['in_channels'] = 6
    return cfg


NETWORKS = dict(cifar=tiny_classifier(), vit=vit(), resnet=resnet(),
                neck=bottle())  # fmt: skip


def trained(path, network, layout='export', seed=7):
    """A file of a network that is not as initialised; and its weights."""
    torch.manual_seed(seed)
    model = MODELS.build(network).eval()
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    state = model.state_dict()
    if layout == 'distillation':
        state = {
            **{f'student.{key}': value for key, value in state.items()},
            'teacher.backbone.conv1.weight': torch.zeros(3),
            'losses.crd.normalisers': torch.zeros(2),
        }
    elif layout == 'encoder':
        state = {
            **{key: value for key, value in state.items()
               if key.startswith('backbone.')},
            'head.0.weight': torch.zeros(4, 16),
            'prototypes.weight': torch.zeros(9, 4),
        }  # fmt: skip
    elif layout == 'algorithm':  # MMPretrain's: its neck is a projection
        state['neck.fc0.weight'] = torch.zeros(4, 16)
    elif layout == 'ddp':
        state = {f'module.{key}': value for key, value in state.items()}
    torch.save(dict(state_dict=state, meta={}), path)
    return model


def transfer(network, kind='LinearProbe', **kwargs):
    network = copy.deepcopy(network)
    network['head']['num_classes'] = 3
    return MODELS.build({**network, 'type': kind, **kwargs})


def config(work_dir, checkpoint, kind='LinearProbe', **kwargs):
    cfg = digits_config(work_dir, **kwargs)
    cfg.model = {
        **tiny_classifier(),
        'type': kind,
        'checkpoint': str(checkpoint),
        'data_preprocessor': cfg.model.data_preprocessor,
    }
    cfg.optim_wrapper.optimizer.weight_decay = 0.1  # would be seen
    cfg.train_dataloader.dataset.indices = 400
    return cfg
