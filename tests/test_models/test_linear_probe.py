"""Frozen and fine-tuned backbones of other runs' checkpoints."""

import copy

import pytest
import torch
from helpers import digits_batch, digits_config, tiny_classifier

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import LinearProbe
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


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('kind', ['LinearProbe', 'TransferClassifier'])
def test_every_tensor_is_loaded(tmp_path, name, kind):
    path = tmp_path / 'student.pth'
    source = trained(path, NETWORKS[name])
    model = transfer(NETWORKS[name], kind, checkpoint=str(path))
    model.init_weights()
    loaded = model.state_dict()
    for key, value in source.state_dict().items():
        if not key.startswith('head.'):
            assert torch.equal(loaded[key], value), key
    images = digits_batch()['inputs']
    torch.testing.assert_close(
        model.eval().extract_feat(images), source.extract_feat(images)
    )


@pytest.mark.parametrize(
    'layout', ['distillation', 'encoder', 'algorithm', 'ddp']
)
def test_layouts(tmp_path, layout):
    path = tmp_path / 'file.pth'
    source = trained(path, NETWORKS['cifar'], layout)
    model = transfer(NETWORKS['cifar'], checkpoint=str(path))
    messages = []
    from mmdistill.models.classifiers import transfer_classifier

    original = transfer_classifier.print_log
    transfer_classifier.print_log = lambda text, **_: messages.append(text)
    try:
        model.init_weights()
    finally:
        transfer_classifier.print_log = original
    expected = source.backbone.state_dict()
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, expected[key])
    assert messages == [
        f'loaded all {len(expected)} tensors of the backbone from {path}'
    ]


def test_the_teacher_of_a_full_checkpoint(tmp_path):
    path = tmp_path / 'file.pth'
    source = trained(path, NETWORKS['cifar'])
    state = source.state_dict()
    state = {f'teacher.{key}': value for key, value in state.items()} | {
        'student.backbone.conv1.weight': torch.zeros(3)
    }
    torch.save(dict(state_dict=state), path)
    model = transfer(NETWORKS['cifar'], checkpoint=str(path), part='teacher')
    model.init_weights()
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[key], value)


def test_the_teacher_of_a_file_that_has_none(tmp_path):
    """An export is the student: it must not pass for the teacher."""
    path = tmp_path / 'student.pth'
    trained(path, NETWORKS['cifar'])
    model = transfer(NETWORKS['cifar'], checkpoint=str(path), part='teacher')
    with pytest.raises(CheckpointError, match="model.part='teacher'.*epoch_"):
        model.init_weights()


@pytest.mark.parametrize(
    'network, message',
    [(tiny_classifier(depth=14), 'missing: backbone.layer1'),
     (tiny_classifier(widths=(4, 4, 8, 12)), 'another'),
     (vit(), r"missing: backbone.*\n.*begin with \['backbone', 'head'\]")],
)  # fmt: skip
def test_other_networks_are_refused(tmp_path, network, message):
    path = tmp_path / 'student.pth'
    trained(path, NETWORKS['cifar'])
    model = transfer(network, checkpoint=str(path))
    with pytest.raises(CheckpointError, match=r'(?s)LinearProbe.*' + message):
        model.init_weights()


def test_what_the_file_has_more_is_refused(tmp_path):
    path = tmp_path / 'student.pth'
    trained(path, tiny_classifier(depth=14))
    model = transfer(NETWORKS['cifar'], checkpoint=str(path))
    with pytest.raises(CheckpointError, match='left over: backbone.'):
        model.init_weights()


def test_files_that_do_not_do(tmp_path):
    with pytest.raises(FileNotFoundError, match='model.checkpoint'):
        transfer(NETWORKS['cifar'], checkpoint='no/file.pth').init_weights()
    path = tmp_path / 'plain.pth'
    torch.save({'conv1.weight': torch.zeros(3)}, path)
    model = transfer(NETWORKS['cifar'], checkpoint=str(path))
    with pytest.raises(CheckpointError, match=r"begin with \['conv1'\]"):
        model.init_weights()


def test_weights_are_initialised_once(tmp_path):
    path = tmp_path / 'student.pth'
    trained(path, NETWORKS['cifar'])
    model = transfer(NETWORKS['cifar'], 'TransferClassifier',
                     checkpoint=str(path))  # fmt: skip
    model.init_weights()
    with torch.no_grad():
        model.backbone.conv1.weight.zero_()  # as training would
    model.init_weights()
    assert not model.backbone.conv1.weight.any()


@pytest.mark.parametrize('name', NETWORKS)
def test_backbone_stays_in_eval_mode(name):
    model = transfer(NETWORKS[name])
    assert isinstance(model.train(), LinearProbe)
    assert model.training and model.head.training
    frozen = [model.backbone] + [model.neck] * (model.neck is not None)
    for part in frozen:
        assert not any(m.training for m in part.modules())
        assert not any(p.requires_grad for p in part.parameters())
    feature = model.extract_feat(digits_batch()['inputs'])[-1]
    assert not feature.requires_grad
    batch = model.data_preprocessor(digits_batch(size=3), True)
    model(**batch, mode='loss')['loss'].backward()
    assert all(p.grad is not None for p in model.head.parameters())
    assert not model.eval().head.training


def test_a_probe_without_a_head():
    with pytest.raises(ValueError, match='model.head'):
        LinearProbe(NETWORKS['cifar']['backbone'], GAP)


# In runs --------------------------------------------------------------------
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


def distilled(work_dir):
    """A distillation on digits, and the paths of what it leaves."""
    cfg = digits_config(work_dir)
    cfg.default_hooks.export_student = {}
    cfg.train_dataloader.dataset.indices = None
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    return runner.model.student, (
        work_dir / 'epoch_2.pth', work_dir / 'student.pth'
    )  # fmt: skip


def test_probe_of_a_distillation(tmp_path):
    student, (full, exported) = distilled(tmp_path / 'source')
    backbone = copy.deepcopy(student.backbone.state_dict())
    for path in (full, exported):
        runner = DistillRunner.from_cfg(config(tmp_path / path.stem, path))
        runner.train()
        after = runner.model.state_dict()
        for key, value in backbone.items():
            assert torch.equal(after[f'backbone.{key}'], value), key
        (group,) = runner.optim_wrapper.optimizer.param_groups
        head = list(runner.model.head.parameters())
        assert [id(p) for p in group['params']] == [id(p) for p in head]
        accuracy = runner.message_hub.get_scalar('val/accuracy/top1').current()
        assert accuracy > 50

    # the probe is tested without the file that it came from
    exported.unlink()
    cfg = config(tmp_path / 'test', exported)
    cfg.load_from = str(tmp_path / 'student' / 'epoch_2.pth')
    runner = DistillRunner.from_cfg(cfg)
    runner.register_hook(StrictLoadHook())
    assert runner.test()['accuracy/top1'] == pytest.approx(accuracy)


@pytest.mark.parametrize('kind', ['LinearProbe', 'TransferClassifier'])
def test_resumed_equals_never_stopped(tmp_path, kind):
    path = tmp_path / 'student.pth'
    trained(path, tiny_classifier())
    states = []
    for stop in (2, 1):
        cfg = config(tmp_path / str(stop), path, kind)
        cfg.train_cfg.max_epochs = stop
        DistillRunner.from_cfg(cfg).train()
        if stop == 1:
            cfg.train_cfg.max_epochs = 2
            cfg.resume = True
        runner = DistillRunner.from_cfg(cfg)
        if stop == 1:
            runner.train()
        else:
            runner.load_checkpoint(str(tmp_path / '2' / 'epoch_2.pth'))
        states.append(runner.model.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_fine_tuning_changes_everything_that_learns(tmp_path):
    path = tmp_path / 'student.pth'
    source = trained(path, tiny_classifier())
    cfg = config(tmp_path / 'run', path, 'TransferClassifier')
    # a smaller rate for what is already trained
    cfg.optim_wrapper.paramwise_cfg = dict(
        custom_keys=dict(backbone=dict(lr_mult=0.1))
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    for key, value in source.backbone.named_parameters():
        assert not torch.equal(runner.model.backbone.get_parameter(key), value)


def test_weight_decay_rules_and_a_frozen_backbone(tmp_path):
    """MMEngine's paramwise_cfg makes a group of each parameter."""
    path = tmp_path / 'student.pth'
    source = trained(path, tiny_classifier())
    cfg = config(tmp_path / 'run', path)
    cfg.optim_wrapper.paramwise_cfg = dict(norm_decay_mult=0.0)
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    groups = runner.optim_wrapper.optimizer.param_groups
    assert sum(len(group['params']) for group in groups) == 2
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(runner.model.backbone.state_dict()[key], value)
