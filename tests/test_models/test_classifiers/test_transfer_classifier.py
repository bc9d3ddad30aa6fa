"""A backbone from a checkpoint, below a new classifier."""

import pytest
import torch
from helpers import digits_batch, tiny_classifier
from transfer import NETWORKS, config, trained, transfer, vit

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.runner import DistillRunner


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
