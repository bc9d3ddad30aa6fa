"""Backbones for MMDetection."""

import torch

from mmdistill.export.mmdet import to_mmdet


def classifier(backbone):
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=64),
    )


def test_resnet_is_mmdetections(student):
    source = student(classifier(dict(type='ResNet', depth=50)))
    checkpoint = to_mmdet(source, 'backbone.pth')
    scope = dict()
    exec(checkpoint['meta']['snippet'], scope)
    backbone = scope['model']['backbone']
    assert backbone == dict(
        type='ResNet', depth=50, out_indices=(0, 1, 2, 3), style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='backbone.pth'),
    )  # fmt: skip
    expected = source.model.backbone.state_dict()
    assert checkpoint['state_dict'].keys() == expected.keys()


def test_other_backbones_are_taken_from_here(student, tmp_path):
    """Built as MMDetection builds it: by scope, from another default."""
    from mmengine.registry import MODELS as ROOT

    for backbone, scope in (
        (dict(type='MobileNetV2'), 'mmpretrain'),
        (dict(type='CIFARResNet', depth=8), 'mmdistill'),
    ):
        source = student(classifier(backbone))
        path = str(tmp_path / 'backbone.pth')
        checkpoint = to_mmdet(source, path)
        torch.save(checkpoint, path)
        lines = dict()
        exec(checkpoint['meta']['snippet'], lines)
        assert lines['custom_imports'] == dict(imports=[f'{scope}.models'])
        built = ROOT.build(lines['model']['backbone'])
        built.init_weights()
        for key, value in source.model.backbone.state_dict().items():
            assert torch.equal(built.state_dict()[key], value)
