"""FCN against torchvision's own, its sizes, norms and errors."""

import pytest
import torch
import torch.nn.functional as F
from detection_data import TINY, batch, run_config, sample, steps
from helpers import run_distributed
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.segmentation import fcn_resnet50

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

DILATED = dict(
    strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(2, 3)
)


def config(**kwargs):
    fields = dict(
        type='FCN',
        backbone={**TINY, **DILATED},
        num_classes=4,
        auxiliary_weight=0.5,
    )
    return {**fields, **kwargs}


def build(**kwargs):
    return MODELS.build(config(**kwargs))


def prepared(model, **kwargs):
    return model.data_preprocessor(batch(**{'size': (48, 64)} | kwargs), True)


def losses_of(model, data, seed=3):
    torch.manual_seed(seed)
    return model(**data, mode='loss')


# Against torchvision --------------------------------------------------------
def twins():
    """Our network and torchvision's, of the same random weights."""
    own = build(backbone=dict(type='ResNet', depth=50, **DILATED))
    other = fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=4, aux_loss=True
    )
    # torchvision does not dilate the first block of a stage.
    for stage, dilation in (('layer3', 2), ('layer4', 4)):
        conv = getattr(other.backbone, stage)[0].conv2
        conv.dilation = conv.padding = (dilation, dilation)
    names = dict(head='classifier', auxiliary_head='aux_classifier')
    other.load_state_dict(
        {
            '.'.join([names.get(part, part), *rest]): value
            for key, value in own.state_dict().items()
            for part, *rest in [key.split('.')]
        }
    )
    return own, other


def test_losses_gradients_and_classes_are_torchvisions():
    own, other = (model.double() for model in twins())
    data = prepared(own)
    data['inputs'] = [image.double() for image in data['inputs']]
    own.mean.copy_(torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
    own.std.copy_(torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))
    images = (torch.stack(data['inputs']) - own.mean) / own.std
    labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']])
    own.train()
    other.train()
    torch.manual_seed(3)  # of the heads' dropout
    scores = other(images)
    expected = {
        'loss_seg': F.cross_entropy(scores['out'], labels, ignore_index=255),
        'loss_aux': 0.5
        * F.cross_entropy(scores['aux'], labels, ignore_index=255),
    }
    found = losses_of(own, data)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=0)
    sum(expected.values()).backward()
    sum(found.values()).backward()
    ours, theirs = own.backbone.conv1, other.backbone.conv1
    torch.testing.assert_close(
        ours.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-8
    )

    own.eval()
    other.eval()
    with torch.no_grad():
        expected = other(images)['out']
        torch.testing.assert_close(
            own(data['inputs']), expected, rtol=1e-5, atol=1e-5
        )
        for one, scores in zip(
            own(**data, mode='predict'), expected, strict=True
        ):
            classes = one.pred_sem_seg.data
            assert classes.dtype == torch.int64
            assert (classes == scores.argmax(0)).float().mean() > 0.9999


# Sizes and backbones --------------------------------------------------------
def test_pixels_are_normalised():
    model = build(mean=(51, 102, 153), std=(25.5, 51, 255))
    seen = []
    model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    image = torch.rand(3, 32, 32)
    model.eval()([image])
    expected = [(image[0] - 0.2) / 0.1, (image[1] - 0.4) / 0.2, image[2] - 0.6]
    torch.testing.assert_close(seen[0][0], torch.stack(expected))


def test_images_of_any_sizes_are_predicted_as_one_by_one():
    model = build().eval()
    data = prepared(model, count=5, size=None)
    sizes = [s.img_shape for s in data['data_samples']]
    assert len(set(sizes)) == 3 and sizes[0] == sizes[3]
    together = model(**data, mode='predict')
    for image, size, one in zip(data['inputs'], sizes, together, strict=True):
        (alone,) = model([image], mode='predict')
        assert one.pred_sem_seg.data.shape == (1, *size)
        assert torch.equal(one.pred_sem_seg.data, alone.pred_sem_seg.data)


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='MobileNetV2', out_indices=(4, 7)),
        dict(type='mmpretrain.RegNet', arch='regnetx_400mf',
             out_indices=(2, 3)),
        dict(type='CIFARResNet', depth=8, widths=(4, 4, 8, 16),
             out_indices=(2, 3)),
    ],
    ids=lambda value: value['type'],
)  # fmt: skip
def test_any_backbone(backbone):
    model = build(backbone=backbone).train()
    data = prepared(model)
    sum(losses_of(model, data).values()).backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert model(data['inputs']).shape == (2, 4, 48, 64)


def test_the_backbone_is_saved_plain():
    model = build()
    saved = {
        key.removeprefix('backbone.'): value
        for key, value in model.state_dict().items()
        if key.startswith('backbone.')
    }
    MODELS.build({**TINY, **DILATED}).load_state_dict(saved)
    rooms = {key.split('.')[0] for key in model.state_dict()}
    assert rooms == {'backbone', 'head', 'auxiliary_head'}


def test_void_does_not_count():
    model = build(auxiliary_weight=0).eval()
    data = prepared(model)
    scores = model(data['inputs'])
    labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']])
    rows = scores.log_softmax(1).gather(1, labels.clamp(max=3)[:, None])[:, 0]
    expected = -rows[labels != 255].mean()
    found = losses_of(model, data)
    assert list(found) == ['loss_seg']
    torch.testing.assert_close(found['loss_seg'], expected)
    for one in data['data_samples']:
        one.gt_sem_seg.data.fill_(255)
    loss = losses_of(model, data)['loss_seg']
    loss.backward()
    assert loss == 0
    assert all(p.grad.eq(0).all() for p in model.head.parameters())


def test_loss_falls():
    data = batch(2, size=(48, 64))
    sums = steps(build(), data, 20, lr=0.05)
    assert sum(sums[-3:]) < 0.5 * sum(sums[:3])


# Norms, autocast, processes, runs -------------------------------------------
@pytest.mark.parametrize('norm', ['frozen', 'tuned', 'sync'])
def test_norms(norm, monkeypatch):
    model = build(norm=norm)
    model.eval()
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    losses_of(model, prepared(model))
    after = model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    backbone = {k for k in moved if k.startswith('backbone.')}
    assert bool(backbone) == (norm != 'frozen')
    assert any(k.startswith('head.') for k in moved)
    import mmdistill.models.dense.dense_model as fine_tuned_model

    monkeypatch.setattr(fine_tuned_model, 'world_size', lambda: 2)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    kinds = {
        type(m) for m in build(norm=norm).modules()
        if isinstance(m, _BatchNorm)
    }  # fmt: skip
    synced = norm == 'sync'
    assert kinds == {
        torch.nn.SyncBatchNorm if synced else torch.nn.BatchNorm2d
    }


def test_autocast():
    model = build().train()
    data = prepared(model)
    full = losses_of(model, data)
    with torch.autocast('cpu', torch.bfloat16):
        half = losses_of(model, data)
        sum(half.values()).backward()
        model.eval()
        assert model(data['inputs']).dtype == torch.float32
        (one, _) = model(**data, mode='predict')
    for name, value in half.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, full[name], rtol=0.05, atol=0.01)
    assert one.pred_sem_seg.data.shape == (1, 48, 64)


def train_share(rank, world):
    """Two DDP steps, each process on images of its own."""
    register_all_modules()
    torch.manual_seed(0)
    model = build().train()
    ddp = torch.nn.parallel.DistributedDataParallel(
        model, broadcast_buffers=False
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(2):
        items = [sample(4 * step + 2 * rank + i, size=(48, 64))
                 for i in range(2)]  # fmt: skip
        data = {k: [item[k] for item in items] for k in items[0]}
        optimizer.zero_grad()
        data = model.data_preprocessor(data, True)
        sum(ddp(**data, mode='loss').values()).backward()
        optimizer.step()
    return dict(model.named_parameters())


@pytest.mark.slow
def test_two_processes_train_equal_weights():
    one, other = run_distributed(train_share, 2)
    for name, value in one.items():
        assert (value == other[name]).all(), name


def run(work_dir, epochs, **kwargs):
    runner = DistillRunner.from_cfg(
        run_config(work_dir, config(), epochs, **kwargs)
    )
    runner.train()
    return runner.model.state_dict()


def test_resumed_equals_never_stopped(tmp_path):
    """The heads' dropout draws, and its draws resume."""
    whole = run(tmp_path / 'whole', 2)
    run(tmp_path / 'parts', 1)
    resumed = run(tmp_path / 'parts', 2, resume=True)
    assert whole.keys() == resumed.keys()
    for name, value in resumed.items():
        assert torch.equal(value, whole[name]), name


# Errors ---------------------------------------------------------------------
@pytest.mark.parametrize(
    'kwargs, words',
    [
        (dict(norm='eval'), r"model.norm is one of.*'eval'"),
        (dict(num_classes=256), 'model.num_classes is at most 255'),
        (dict(backbone={**TINY, **DILATED, 'out_indices': (3,)}),
         'model.auxiliary_weight=0.5.*gives 1 map.*out_indices'),
        (dict(backbone=dict(type='VisionTransformer', arch='deit-t',
                            img_size=128, out_type='cls_token')),
         r'model.backbone \(VisionTransformer\) gives outputs of shapes'),
    ],
)  # fmt: skip
def test_config_errors(kwargs, words):
    with pytest.raises(ValueError, match=f'(?s){words}'):
        build(**kwargs)


def test_images_and_labels_are_checked():
    model = build().train()
    with pytest.raises(
        ValueError, match=r'\(48, 64\), \(56, 64\).*RandomCrop'
    ):
        losses_of(model, prepared(model, size=None))
    for label in (4, 254, 256, -1):
        data = prepared(model)
        data['data_samples'][1].gt_sem_seg.data[0, 30, 60] = label
        with pytest.raises(
            ValueError, match=f"'1.png' has the label {label},.*0 ... 3 and"
        ):
            losses_of(model, data)
    data = prepared(model)
    data['inputs'] = [image[:, :32] for image in data['inputs']]
    with pytest.raises(ValueError, match=r"'0.png' of size \(32, 64\)"):
        losses_of(model, data)
    with pytest.raises(RuntimeError, match="mode='losses'"):
        model(**data, mode='losses')
