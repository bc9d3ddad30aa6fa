"""Detectors on the map of the last stage but one."""

import pytest
import torch
from detection_data import TINY, build, losses_of, prepared
from torchvision.models.detection.roi_heads import RoIHeads


def test_mask_branch_of_c4_equals_a_second_pass_of_the_stage():
    """With statistics that stay, the shared maps are torchvision's own."""
    model = build(type='MaskRCNN', neck='c4', norm='frozen').train()
    model.roi_heads.box_head.norm.eval()
    data = prepared(model)
    shared = losses_of(model, data)
    heads = model.roi_heads
    heads.__class__ = RoIHeads  # its mask pool then runs the stage itself
    heads.mask_roi_pool.eval()
    heads.box_head._forward_hooks.clear()
    for name, value in losses_of(model, data).items():
        torch.testing.assert_close(shared[name], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    'backbone, stages, channels',
    [
        (TINY, ['layer4'], 64),
        (dict(type='MobileNetV2', widen_factor=0.25),
         ['layer6', 'layer7', 'conv2'], 1280),
        (dict(type='mmpretrain.RegNet', arch='regnetx_400mf'), ['layer4'],
         384),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)  # fmt: skip
def test_c4_on_backbones_of_named_stages(backbone, stages, channels):
    model = build(type='MaskRCNN', backbone=backbone, neck='c4').train()
    inner = [getattr(model.backbone, name) for name in stages]
    assert list(model.roi_heads.box_head._stages) == inner
    assert model.roi_heads.box_head.norm.num_features == channels
    data = prepared(model)
    maps = model(data['inputs'], mode='tensor')
    size = model.transform(data['inputs'])[0].tensors.shape[-2:]
    assert [maps['0'].shape[-2] * 16, maps['0'].shape[-1] * 16] == list(size)
    sum(losses_of(model, data).values()).backward()
    missing = {n for n, p in model.named_parameters() if p.grad is None}
    assert all('bn' in n or 'downsample.1' in n for n in missing)  # frozen
    model.eval()
    (one, _) = model(**data, mode='predict')
    assert one.pred_instances.masks.shape[1:] == one.img_shape


def test_the_stage_of_c4_runs_once_a_step():
    model = build(type='MaskRCNN', neck='c4', norm='tuned').train()
    seen = []
    model.backbone.layer4.register_forward_hook(
        lambda _, args, out: seen.append(len(args[0]))
    )
    losses_of(model, prepared(model))
    assert seen == [32]  # 16 regions of each of two images
    assert int(model.roi_heads.box_head.norm.num_batches_tracked) == 1
    assert model.roi_heads.mask_roi_pool.maps is None
