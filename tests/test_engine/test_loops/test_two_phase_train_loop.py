import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import digits_config, run_distributed, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

SAME = dict(fsp=dict(type='FSPLoss'))
FT = dict(ft=dict(type='FTLoss', loss_weight=5.0))


def config(work_dir, losses, main=2, first=2, **kwargs):
    teacher = work_dir.parent / 'teacher.pth'
    wide = tiny_classifier(depth=14)
    if not teacher.exists():
        torch.manual_seed(5)
        torch.save(MODELS.build(wide).state_dict(), teacher)
    cfg = digits_config(
        work_dir,
        losses,
        custom_hooks=[dict(type='ResumeStateHook')],
        find_unused_parameters=True,
        **{'model.teacher': wide, 'model.teacher_ckpt': str(teacher)},
        **kwargs,
    )
    cfg.train_cfg = dict(
        type='TwoPhaseTrainLoop', max_epochs=main, warmup_epochs=first
    )
    cfg.param_scheduler = dict(
        type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True
    )
    return cfg


def snapshots(cfg):
    """Parameters when each epoch begins, and learning rates in it."""
    runner = DistillRunner.from_cfg(cfg)
    seen = []
    original = runner.train_loop.run_epoch

    def run_epoch():
        state = copy.deepcopy(dict(runner.model.named_parameters()))
        original()
        lr = runner.optim_wrapper.get_lr()['lr'][0]
        seen.append((state, lr))

    runner.train_loop.run_epoch = run_epoch
    runner.train()
    seen.append((dict(runner.model.named_parameters()), None))
    return runner, seen


def changed(before, after):
    return {n for n in before if not torch.equal(before[n], after[n])}


@pytest.mark.parametrize('losses', [SAME, FT], ids=['fsp', 'ft'])
def test_what_trains_in_each_stage(tmp_path, losses):
    _, seen = snapshots(config(tmp_path / 'run', losses))
    first = changed(seen[0][0], seen[2][0])
    second = changed(seen[2][0], seen[4][0])
    heads = {'student.head.fc.weight', 'student.head.fc.bias'}
    assert not heads & first and heads <= second
    if losses is SAME:
        assert 'student.backbone.conv1.weight' in first
    else:
        assert first and all(
            n.startswith(('losses.ft.para', 'losses.ft.recon')) for n in first
        )
        assert not any(n.startswith('losses.ft.para') for n in second)
        assert any(n.startswith('losses.ft.translator') for n in second)
    # the schedule begins with the second stage
    rates = [lr for _, lr in seen[:4]]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005])


def test_ab_sees_maps_before_the_activation(tmp_path):
    cfg = config(tmp_path / 'run', dict(ab=dict(type='ABLoss')), 1, 1)
    runner = DistillRunner.from_cfg(cfg)
    loss, lowest = runner.model.losses['ab'], []
    loss.register_forward_pre_hook(
        lambda _, args: lowest.append(
            [min(float(m.min()) for m in side) for side in args]
        )
    )
    before = copy.deepcopy(dict(runner.model.student.named_parameters()))
    runner.train()
    assert len(lowest) == 3  # the first stage alone
    assert all(low < 0 for pair in lowest for low in pair)
    after = dict(runner.model.student.named_parameters())
    assert len(changed(before, after)) == len(before)


def test_ab_and_fsp_cannot_share_a_pass(tmp_path):
    losses = SAME | dict(ab=dict(type='ABLoss'))
    with pytest.raises(ValueError, match='before the activation'):
        DistillRunner.from_cfg(config(tmp_path / 'run', losses))


@pytest.mark.parametrize('stop', [1, 2, 3])
def test_resume_in_either_stage(tmp_path, stop):
    runner, _ = snapshots(config(tmp_path / 'whole', FT))
    whole = runner.model.state_dict()
    cfg = config(tmp_path / 'parts', FT)
    DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
    # as if it had been stopped: only the checkpoint of that epoch is left
    (tmp_path / 'parts' / 'last_checkpoint').write_text(
        str(tmp_path / 'parts' / f'epoch_{stop}.pth')
    )
    cfg.resume = True
    resumed = DistillRunner.from_cfg(cfg)
    resumed.train()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_validation_waits_for_the_second_stage(tmp_path):
    runner = DistillRunner.from_cfg(config(tmp_path / 'run', FT))
    epochs = []
    original = runner.val_loop.run
    runner.val_loop.run = lambda: (epochs.append(runner.epoch), original())
    runner.train()
    assert epochs == [3, 4]


def test_no_loss_with_a_first_stage(tmp_path):
    with pytest.raises(ValueError, match='warm-up phase'):
        DistillRunner.from_cfg(
            config(tmp_path / 'run', dict(kd=dict(type='KDLoss')))
        ).train()


def test_two_stage_loss_without_the_loop(tmp_path):
    cfg = config(tmp_path / 'run', SAME)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    with pytest.raises(ValueError, match='TwoPhaseTrainLoop'):
        DistillRunner.from_cfg(cfg).train()


def share(rank, world, folder):
    """Train both stages in two processes; what this one ends with."""
    register_all_modules()
    cfg = config(Path(folder) / 'run', FT, main=1, first=1)
    cfg.launcher = 'pytorch'
    cfg.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    cfg.train_dataloader.batch_size = 16
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )
    runner = DistillRunner.from_cfg(cfg)
    before = copy.deepcopy(dict(runner.model.module.named_parameters()))
    runner.train()
    after = dict(runner.model.module.named_parameters())
    return dict(after), sorted(changed(before, after))


def test_two_processes_stay_equal(tmp_path):
    config(tmp_path / 'run', FT)  # writes the teacher
    (first, moved), (second, _) = run_distributed(share, 2, str(tmp_path))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    assert len(moved) == len(first)  # either stage has moved its part
