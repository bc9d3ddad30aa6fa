"""A run that was stopped and resumed equals one that never stopped."""

import copy
import os
import random
import shutil

import numpy as np
import pytest
import torch
from helpers import (
    digits_config,
    run_distributed,
    stop_workers,
    tiny_classifier,
)
from mmengine.hooks import Hook

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import HOOKS, MODELS


def test_another_teacher_on_resume(tmp_path):
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        teacher = MODELS.build(tiny_classifier(depth=14))
        files.append(str(tmp_path / f'teacher{seed}.pth'))
        torch.save(teacher.state_dict(), files[-1])
    cfg = digits_config(tmp_path, **{'model.teacher_ckpt': files[0]})
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
    cfg.train_cfg.max_epochs = 2
    cfg.resume = True
    DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
    cfg.train_cfg.max_epochs = 3
    cfg.model.teacher_ckpt = files[1]
    with pytest.raises(ValueError, match='another teacher'):
        DistillRunner.from_cfg(copy.deepcopy(cfg)).train()


LOSSES = dict(
    kd=dict(type='KDLoss'),
    protocpc=dict(type='ProtoCPCLoss'),
    crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8),
    nce=dict(type='InfoNCELoss', level='feature', queue_size=40),
)


@HOOKS.register_module()
class StopHook(Hook):
    """Stops a run as a kill would, when epoch `epoch` begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


def add_slow_student(model):
    """A momentum copy with its own dropout, so that torch's RNG matters."""
    import copy

    model.slow = copy.deepcopy(model.student).requires_grad_(False)
    model.student.neck = torch.nn.Sequential(model.student.neck, DropTuple())
    return model


class DropTuple(torch.nn.Dropout):
    """Dropout of a tuple; it keeps its masks, and draws of other kinds."""

    def __init__(self):
        super().__init__()
        self.drawn = dict(dropout=[], numpy=[], python=[])

    def forward(self, x):
        masks = [super(DropTuple, self).forward(torch.ones_like(y)) for y in x]
        if self.training:
            self.drawn['dropout'].append(masks[0])
            self.drawn['numpy'].append(torch.from_numpy(np.random.rand(2)))
            self.drawn['python'].append(torch.tensor(random.random()))
        return tuple(y * mask for y, mask in zip(x, masks, strict=True))


def keep_negatives(bank):
    """What the bank draws, step by step."""
    drawn, draw = [], bank.draw_negatives

    def draw_negatives(*args):
        drawn.append(draw(*args))
        return drawn[-1]

    bank.draw_negatives = draw_negatives
    return drawn


def train(work_dir, workers, stop=None, resume=False, world=1, by_epoch=True):
    """The state at the end, or at the stop."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    hooks = [
        dict(type='ResumeStateHook'),
        dict(type='MomentumUpdateHook', source='student.backbone',
             target='slow.backbone', momentum=0.9, end_momentum=1.0,
             schedule='cosine'),
        dict(type='QueueHook', prefill=8),
    ]  # fmt: skip
    if stop is not None:
        hooks.append(dict(type='StopHook', epoch=stop))
    cfg = digits_config(
        work_dir,
        LOSSES,
        custom_hooks=hooks,
        resume=resume,
        launcher='none' if world == 1 else 'pytorch',
        **{
            'model.teacher.backbone.widths': (4, 4, 8, 16),
            'model.teacher.head.in_channels': 16,
            'model.teacher_ckpt': str(work_dir) + '.teacher.pth',
            'train_dataloader.num_workers': workers,
            'train_dataloader.persistent_workers': workers > 0,
            'train_dataloader.batch_size': 16 // world,
        },
    )
    if not by_epoch:
        cfg.train_cfg = dict(by_epoch=False, max_iters=18, val_interval=6)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
        cfg.default_hooks.checkpoint = dict(
            type='CheckpointHook', by_epoch=False, interval=6)  # fmt: skip
    if world > 1:
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        )
    teacher = cfg.model.teacher_ckpt
    if not os.path.exists(teacher):
        from mmdistill.registry import MODELS

        torch.manual_seed(1)
        torch.save(MODELS.build(cfg.model.teacher).state_dict(), teacher)
    runner = DistillRunner.from_cfg(cfg)
    # The model is wrapped when the runner is made: change it inside.
    model = getattr(runner.model, 'module', runner.model)
    add_slow_student(model)
    drawn = model.student.neck[-1].drawn
    drawn['indices'] = keep_negatives(model.losses['crd'].bank_student)
    # Something between epochs that draws: it must not matter.
    torch.rand(3 if resume else 1)
    try:
        runner.train()
    except KeyboardInterrupt:
        pass
    stop_workers(runner)
    state = {f'model.{k}': v for k, v in model.state_dict().items()}
    for i, group in runner.optim_wrapper.state_dict()['state'].items():
        for name, value in group.items():
            state[f'optimizer.{i}.{name}'] = value
    for name, draws in drawn.items():
        state[f'drawn.{name}'] = torch.stack(draws[-3:]) if draws else []
    return {k: torch.as_tensor(v) for k, v in state.items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for part in ('bank', 'nce.queue.storage', 'prior', 'slow', 'optimizer',
                 'momentum_steps'):  # fmt: skip
        assert any(part in key for key in one), part
    different = [
        key
        for key in one
        if not np.array_equal(np.asarray(one[key]), np.asarray(other[key]))
    ]
    assert not different


@pytest.mark.parametrize('workers', [0, 2])
def test_one_process(tmp_path, workers):
    whole = train(tmp_path / 'whole', workers)
    (tmp_path / 'parts.teacher.pth').write_bytes(
        (tmp_path / 'whole.teacher.pth').read_bytes()
    )
    train(tmp_path / 'parts', workers, stop=1)
    assert_equal(whole, train(tmp_path / 'parts', workers, resume=True))


def test_worker_count_does_not_matter(tmp_path):
    one, other = (train(tmp_path / 'run', w) for w in (0, 2))
    assert_equal(one, other)


def test_iterations(tmp_path):
    whole = train(tmp_path / 'run', 0, by_epoch=False)
    (tmp_path / 'run' / 'last_checkpoint').write_text(
        str(tmp_path / 'run' / 'iter_6.pth')
    )
    resumed = train(tmp_path / 'run', 2, resume=True, by_epoch=False)
    assert_equal(whole, resumed)


def share(rank, world, work_dir, stop, resume):
    return train(work_dir, 0, stop=stop, resume=resume, world=world)


@pytest.mark.slow
def test_two_processes(tmp_path):
    train(tmp_path / 'run', 0, stop=0)  # writes the teacher
    folder = str(tmp_path / 'run')
    whole = run_distributed(share, 2, folder, None, False)
    run_distributed(share, 2, folder, 1, False)
    resumed = run_distributed(share, 2, folder, None, True)
    assert_equal(whole[0], resumed[0])
    # BatchNorm's statistics are each process's own, and a checkpoint holds
    # the first one's; everything else is equal on the second, too.
    second = [
        {k: v for k, v in states[1].items() if 'running' not in k}
        for states in (whole, resumed)
    ]
    assert_equal(*second)
    # Each draws for itself: chance alone makes two draws equal.
    for name in ('dropout', 'indices', 'numpy', 'python'):
        one, other = (states[f'drawn.{name}'] for states in whole)
        chance = 0.5 if name == 'dropout' else 0
        assert (one == other).mean() < chance + 0.2, name
    # both processes hold the same memories
    for key in whole[0]:
        if any(p in key for p in ('bank', 'negatives', 'prior')):
            np.testing.assert_array_equal(whole[0][key], whole[1][key])


@pytest.fixture(scope='module')
def by_two(tmp_path_factory):
    """A run of two processes that stopped after the first epoch."""
    folder = tmp_path_factory.mktemp('by_two') / 'run'
    train(folder, 0, stop=0)  # writes the teacher
    run_distributed(share, 2, str(folder), 1, False)
    return folder


@pytest.mark.parametrize('world', [1, pytest.param(4, marks=pytest.mark.slow)])
def test_other_number_of_processes(by_two, tmp_path, world):
    """Weights, memories and schedules go on; the log says what does not."""
    folder = shutil.copytree(by_two, tmp_path / 'run')
    last = folder / 'last_checkpoint'
    last.write_text(str(folder / 'epoch_1.pth'))
    shutil.copy(f'{by_two}.teacher.pth', f'{folder}.teacher.pth')
    states = run_distributed(share, world, str(folder), None, True)
    for state in states:
        assert state['model.momentum_steps_slow_backbone'] == 12
        for key, value in state.items():
            if any(p in key for p in ('bank', 'negatives', 'prior')):
                np.testing.assert_array_equal(value, states[0][key], key)
    assert torch.load(folder / 'epoch_2.pth', weights_only=False)
    logs = ''.join(path.read_text() for path in folder.rglob('*.log'))
    assert f'written by 2 process(es), now there are {world}' in logs


def shares(rank, world, folder):
    """The samples of one epoch, and of another after a resume."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    seen = []
    for epoch in (1, 2):
        runner = DistillRunner.from_cfg(
            digits_config(
                folder,
                custom_hooks=[dict(type='ResumeStateHook')],
                randomness=dict(seed=3, diff_rank_seed=True),
                resume=epoch == 2,
                launcher='pytorch',
                model_wrapper_cfg=dict(
                    type='MMDistributedDataParallel',
                    device_ids=None,
                    broadcast_buffers=False,
                ),
                **{
                    'train_cfg.max_epochs': epoch,
                    'train_dataloader.batch_size': 16,
                },
            )
        )
        runner.train()
        assert runner.seed == 3
        sampler = runner.train_dataloader.batch_sampler.sampler
        seen.append([int(i) for i in sampler])
    return seen


def test_a_seed_for_each_process_does_not_make_their_shares_overlap(tmp_path):
    one, other = run_distributed(shares, 2, str(tmp_path / 'run'))
    for first, second in zip(one, other, strict=True):
        assert sorted(first + second) == list(range(96))
    assert one[0] != one[1]


def test_a_sampler_keeps_a_seed_of_its_own(tmp_path):
    runner = DistillRunner.from_cfg(
        digits_config(
            tmp_path / 'run',
            custom_hooks=[dict(type='ResumeStateHook')],
            **{
                'randomness.seed': 3,
                'train_cfg.max_epochs': 1,
                'train_dataloader.sampler.seed': 7,
            },
        )
    )
    runner.train()
    assert runner.train_dataloader.sampler.seed == 7
