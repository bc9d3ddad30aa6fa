"""A linear classifier on a backbone that rests."""

import copy

import pytest
import torch
from helpers import digits_batch, digits_config, tiny_classifier
from transfer import GAP, NETWORKS, config, trained, transfer

from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import LinearProbe


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
