"""The detectors against torchvision's own, their forms, norms and errors."""

import copy

import pytest
import torch
from detection_data import (
    TINY,
    batch,
    build,
    detector,
    losses_of,
    prepared,
    run_config,
    sample,
    steps,
)
from helpers import run_distributed
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import detection, resnet18
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops import FrozenBatchNorm2d

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

RESNET18 = dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))

LOSSES = {'loss_classifier', 'loss_box_reg', 'loss_objectness',
          'loss_rpn_box_reg'}  # fmt: skip

BOTH = pytest.mark.parametrize('type', ['FasterRCNN', 'MaskRCNN'])

FORMS = pytest.mark.parametrize('neck', ['fpn', 'c4'])


# Against torchvision --------------------------------------------------------
def twins(type, norm):
    """Our detector and torchvision's, of the same random weights."""
    own = build(
        type=type,
        backbone=RESNET18,
        norm=norm,
        fpn_width=256,
        anchor_sizes=None,
        min_size=(64, 72),
    )
    for name, buffer in own.backbone.named_buffers():
        if 'running' in name:
            buffer.uniform_(0.5, 1.5)
    layer = dict(frozen=FrozenBatchNorm2d, tuned=torch.nn.BatchNorm2d)[norm]
    body = _resnet_fpn_extractor(resnet18(norm_layer=layer), 5)
    other = getattr(detection, type)(
        body,
        num_classes=4,
        min_size=(64, 72),
        max_size=96,
        **detector()['rpn'],
        **detector()['roi'],
    )
    names = {'backbone.body': 'backbone', 'backbone.fpn': 'neck'}
    state = own.state_dict()
    mapped = {}
    for key in other.state_dict():
        for theirs, ours in names.items():
            if key.startswith(theirs):
                mapped[key] = state.pop(ours + key.removeprefix(theirs))
                break
        else:
            mapped[key] = state.pop(key)
    assert all(key.endswith('num_batches_tracked') for key in state)
    other.load_state_dict(mapped)
    return own, other


@BOTH
@pytest.mark.parametrize('norm', ['frozen', 'tuned'])
def test_losses_gradients_and_detections_are_torchvisions(type, norm):
    own, other = twins(type, norm)
    own.train()
    other.train()
    data = prepared(own)
    instances = [sample.gt_instances for sample in data['data_samples']]
    targets = [
        dict(boxes=one.bboxes, labels=one.labels + 1, masks=one.masks)
        for one in instances
    ]
    torch.manual_seed(3)
    expected = other(data['inputs'], targets)
    found = losses_of(own, data)
    assert found.keys() == expected.keys()
    assert set(found) - {'loss_mask'} == LOSSES
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-7)
    sum(expected.values()).backward()
    sum(found.values()).backward()
    theirs, ours = other.backbone.body.conv1, own.backbone.conv1
    torch.testing.assert_close(
        ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-6
    )

    own.eval()
    other.eval()
    with torch.no_grad():
        expected = other(data['inputs'])
        samples = own(**data, mode='predict')
    for sample_, one in zip(samples, expected, strict=True):
        found = sample_.pred_instances
        assert len(found.labels) == 8
        torch.testing.assert_close(
            found.bboxes, one['boxes'], rtol=1e-5, atol=1e-4
        )
        torch.testing.assert_close(
            found.scores, one['scores'], rtol=1e-5, atol=1e-7
        )
        assert torch.equal(found.labels, one['labels'] - 1)
        if type == 'MaskRCNN':
            assert found.masks.dtype == torch.bool
            assert found.masks.shape[-2:] == sample_.img_shape
            same = found.masks == (one['masks'][:, 0] > 0.5)
            assert same.float().mean() > 0.9999


# Forms ----------------------------------------------------------------------
@BOTH
@FORMS
def test_the_backbone_is_saved_once_and_plain(type, neck):
    model = build(type=type, neck=neck)
    saved = {
        key.removeprefix('backbone.'): value
        for key, value in model.state_dict().items()
        if 'backbone' in key
    }
    alone = MODELS.build(TINY)
    alone.load_state_dict(saved)  # strictly: all keys and no others
    names = [name for name, _ in model.named_parameters()]
    assert len(names) == len({id(p) for p in model.parameters()})
    rooms = {name.split('.')[0] for name in names}
    assert rooms - {'neck'} == {'backbone', 'rpn', 'roi_heads'}
    image = torch.randn(1, 3, 64, 64)
    alone.eval()
    model.eval()
    for own, whole in zip(
        model.backbone(image), alone(image)[-2:], strict=False
    ):
        if neck == 'c4':
            assert torch.equal(own, whole)


@pytest.mark.parametrize(
    'backbone, sizes',
    [
        (dict(type='MobileNetV2', out_indices=(1, 2, 4, 7)), 5),
        (dict(type='mmpretrain.RegNet', arch='regnetx_400mf',
              out_indices=(1, 2, 3)), 4),
        (dict(type='RegNetY', out_indices=(1, 2, 3)), 4),
        (dict(type='CIFARResNet', depth=8, widths=(4, 4, 8, 16),
              out_indices=(1, 2, 3)), 4),
        (dict(type='CIFARMobileNetV2', out_indices=(2, 3, 4)), 4),
    ],
    ids=lambda value: value['type'] if isinstance(value, dict) else '',
)  # fmt: skip
def test_pyramid_on_any_backbone(backbone, sizes):
    anchors = tuple((8 * 2**i,) for i in range(sizes))
    model = build(backbone=backbone, anchor_sizes=anchors).train()
    data = prepared(model)
    sum(losses_of(model, data).values()).backward()
    learning = dict(model.backbone.named_parameters())
    assert any(p.grad is not None for p in learning.values())
    maps = model(data['inputs'], mode='tensor')
    levels = [str(i) for i in range(sizes - 1)] + ['pool']
    assert list(maps) == levels
    assert {m.shape[1] for m in maps.values()} == {16}


@BOTH
@FORMS
def test_copies_are_independent(type, neck):
    """A copy, as EMAHook makes, runs its own stages."""
    model = build(type=type, neck=neck, norm='tuned')
    other = copy.deepcopy(model)
    data = prepared(model)
    before = losses_of(other.train(), data)
    for parameter in model.parameters():
        parameter.data.zero_()
    after = losses_of(other, data)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value)


@BOTH
@FORMS
def test_images_without_boxes_train(type, neck):
    model = build(type=type, neck=neck, norm='tuned').train()
    for boxes in ([0, 0], [2, 0]):
        items = [sample(i, boxes=n) for i, n in enumerate(boxes)]
        data = {k: [item[k] for item in items] for k in items[0]}
        losses = losses_of(model, model.data_preprocessor(data, True))
        sum(losses.values()).backward()
        assert all(value.isfinite() for value in losses.values())
    assert all(
        p.grad is not None and p.grad.isfinite().all()
        for p in model.parameters()
    )
    assert all(b.isfinite().all() for b in model.buffers())


@pytest.mark.parametrize(
    'type, neck',
    [('FasterRCNN', 'fpn'), ('FasterRCNN', 'c4'), ('MaskRCNN', 'c4')],
)
def test_losses_fall(type, neck):
    sums = steps(build(type=type, neck=neck, norm='tuned'), batch(3), 20)
    assert sum(sums[-3:]) < 0.75 * sum(sums[:3])


# Numbers and sizes ----------------------------------------------------------
def test_detections_are_in_pixels_of_the_given_image():
    """Whatever min_size does to the image inside."""
    model = build(min_size=96, max_size=200).eval()
    for one in model.val_step(batch(size=(40, 80))):
        boxes = one.pred_instances.bboxes
        assert len(boxes) and (boxes >= 0).all()
        assert (boxes <= torch.tensor([80, 40, 80, 40])).all()
        assert boxes[:, 2].max() > 40


# Norms ----------------------------------------------------------------------
def norms_of(module):
    return [m for m in module.modules() if isinstance(m, _BatchNorm)]


@FORMS
@pytest.mark.parametrize('norm', ['frozen', 'tuned', 'sync'])
def test_norms(norm, neck):
    model = build(neck=neck, norm=norm, fpn_norm=True)
    assert norms_of(model.backbone)[0].training == (norm != 'frozen')
    model.eval()
    model.train()
    before = copy.deepcopy(model.state_dict())
    sum(losses_of(model, prepared(model)).values()).backward()
    for module in norms_of(model.backbone):
        assert module.training == (norm != 'frozen')
        assert module.weight.requires_grad == (norm != 'frozen')
    after = model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    backbone = {k for k in moved if k.startswith('backbone.')}
    assert bool(backbone) == (norm != 'frozen')
    new = 'neck' if neck == 'fpn' else 'roi_heads.box_head.norm'
    assert any(k.startswith(new) for k in moved)
    assert not any(isinstance(m, torch.nn.SyncBatchNorm)
                   for m in model.modules())  # fmt: skip


@FORMS
def test_sync_with_several_processes_on_gpus(neck, monkeypatch):
    """What is built; the layers themselves run on GPUs only."""
    import mmdistill.models.dense.dense_model as fine_tuned_model

    monkeypatch.setattr(fine_tuned_model, 'world_size', lambda: 2)
    model = build(neck=neck, norm='sync')
    assert not any(isinstance(m, torch.nn.SyncBatchNorm)
                   for m in model.modules())  # fmt: skip
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    kinds = {
        type(m) for m in norms_of(build(neck=neck, norm='sync', fpn_norm=True))
    }
    assert kinds == {torch.nn.SyncBatchNorm}


def test_frozen_stages_are_the_backbones_own_option():
    model = build(backbone={**TINY, 'frozen_stages': 1}, norm='tuned').train()
    assert not model.backbone.bn1.training
    assert not model.backbone.layer1[0].conv1.weight.requires_grad
    assert model.backbone.layer2[0].bn1.training


# Autocast, processes, runs --------------------------------------------------
@pytest.mark.parametrize(
    'type, neck', [('FasterRCNN', 'fpn'), ('MaskRCNN', 'c4')]
)
def test_boxes_and_losses_are_float32_under_autocast(type, neck):
    model = build(type=type, neck=neck).train()
    data = prepared(model)
    full = losses_of(model, data)
    seen = []
    model.rpn.register_forward_hook(lambda _, args, out: seen.extend(out[0]))
    model.backbone.conv1.register_forward_hook(
        lambda _, args, out: seen.append(out)
    )
    with torch.autocast('cpu', torch.bfloat16):
        losses = losses_of(model, data)
        sum(losses.values()).backward()
        model.eval()
        found = model(**data, mode='predict')[0].pred_instances
    assert seen[0].dtype == torch.bfloat16  # the backbone's layers
    assert {boxes.dtype for boxes in seen[1:3]} == {torch.float32}
    for name in ('loss_classifier', 'loss_objectness'):
        torch.testing.assert_close(
            losses[name], full[name], rtol=0.05, atol=0.01
        )
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert found.bboxes.dtype == found.scores.dtype == torch.float32
    # bfloat16 has no numbers between 48 and 48.25
    assert not torch.equal(found.bboxes, found.bboxes.bfloat16().float())


def train_share(rank, world):
    """Three DDP steps, each process on images of its own."""
    register_all_modules()
    torch.manual_seed(0)
    model = build(type='MaskRCNN', neck='c4', norm='sync').train()
    ddp = torch.nn.parallel.DistributedDataParallel(
        model, broadcast_buffers=False
    )
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.01)
    for step in range(3):
        # the second process's first image is an empty one
        items = [
            sample(10 * step + rank, boxes=0 if rank == 1 and step == 0 else 2)
        ]
        data = {k: [item[k] for item in items] for k in items[0]}
        data = model.data_preprocessor(data, True)
        optimizer.zero_grad()
        sum(ddp(**data, mode='loss').values()).backward()
        optimizer.step()
    return dict(model.named_parameters())


@pytest.mark.slow
def test_two_processes_train_equal_weights():
    one, other = run_distributed(train_share, 2)
    start = build(type='MaskRCNN', neck='c4', norm='sync')
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert (value == other[name]).all(), name
    moved = [n for n, p in start.named_parameters()
             if (p.detach().numpy() != one[n]).any()]  # fmt: skip
    assert any('layer4' in name for name in moved)


def run(work_dir, model, epochs, **kwargs):
    runner = DistillRunner.from_cfg(
        run_config(work_dir, model, epochs, **kwargs)
    )
    runner.train()
    return runner


@pytest.mark.parametrize(
    'type, neck', [('FasterRCNN', 'fpn'), ('MaskRCNN', 'c4')]
)
def test_resumed_equals_never_stopped(tmp_path, type, neck):
    """Two image sizes and the samplers draw; all draws resume."""
    model = detector(type=type, neck=neck, min_size=(48, 64), norm='tuned')
    whole = run(tmp_path / 'whole', model, 2)
    run(tmp_path / 'parts', model, 1)
    resumed = run(tmp_path / 'parts', model, 2, resume=True)
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[name]), name
    scalars = whole.message_hub.log_scalars
    assert {f'train/{name}' for name in LOSSES} <= set(scalars)
    total = scalars['train/loss'].current()
    parts = [v.current() for k, v in scalars.items()
             if k.startswith('train/loss_')]  # fmt: skip
    assert total == pytest.approx(sum(parts), rel=1e-5)


# Errors ---------------------------------------------------------------------
@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(neck='c5'), r"model.neck is one of.*'c5'"),
        (dict(norm='eval'), r"model.norm is one of.*'eval'"),
        (dict(num_classes=0), 'model.num_classes.*got num_classes=0'),
        (dict(rpn=dict(nms=1)), r"model.rpn.*\['nms'\].*rpn_nms_thresh"),
        (dict(roi=dict(box_head=1)), r'model.roi.*box_head.*box_nms_thresh'),
        (dict(anchor_sizes=((8,), (16,))), 'anchor_sizes.*5 level.*got 2'),
        (dict(anchor_sizes=((8,), (8, 9), (9,), (9,), (9,))),
         'anchor_sizes.*equally long'),
        (dict(neck='c4', anchor_sizes=((8,), (16,))), '1 level.*got 2'),
        (dict(backbone={**TINY, 'out_indices': (3,)}),
         r'strides \[32\].*model.backbone.out_indices'),
        (dict(backbone={**TINY, 'out_indices': (0, 2, 3)}),
         r'strides \[4, 16, 32\].*model.backbone.out_indices'),
        (dict(backbone=dict(type='VisionTransformer', arch='deit-t',
                            img_size=128, out_type='cls_token')),
         r'model.backbone \(VisionTransformer\) gives outputs of shapes'),
        (dict(backbone={**TINY, 'in_channels': 1}),
         'model.backbone.*RGB image'),
        (dict(neck='c4', backbone=dict(type='CIFARResNet', depth=8)),
         'ResNet.*MobileNetV2.*got CIFARResNet'),
        (dict(neck='c4', backbone={**TINY, 'strides': (1, 2, 2, 1)}),
         r'strides of ResNet are \[4, 8, 16, 16\]'),
    ],
)  # fmt: skip
def test_config_errors(kwargs, words):
    with pytest.raises(ValueError, match=f'(?s){words}'):
        build(**kwargs)
