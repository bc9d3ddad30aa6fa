"""Queues are filled before the first step, and begin when they should."""

import copy

import pytest
import torch
from helpers import Stop, digits_config, stop_at_first_step

from mmdistill.engine.runner import DistillRunner

NCE = dict(nce=dict(type='InfoNCELoss', level='feature', queue_size=64))


def with_queue(work_dir, **hook):
    return digits_config(
        work_dir,
        NCE,
        default_hooks=dict(queue=dict(type='QueueHook', **hook)),
        **{
            'model.teacher.backbone.widths': (4, 4, 8, 16),
            'model.teacher.head.in_channels': 16,
        },
    )


def test_prefill(tmp_path):
    runner = DistillRunner.from_cfg(with_queue(tmp_path, prefill=48))
    before = copy.deepcopy(runner.model.student.state_dict())
    stop_at_first_step(runner)
    queue = runner.model.losses.nce.queue
    assert len(queue) == 64  # whole batches of 32
    norms = queue.features.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(64))
    assert len(queue.features.unique(dim=0)) == 64
    assert before.keys() == runner.model.student.state_dict().keys()
    for key, value in runner.model.student.state_dict().items():
        if 'running' in key:
            assert torch.equal(value, before[key])  # the student only looked


def test_prefill_is_part_of_no_stream(tmp_path):
    """The first batch is the same with and without prefilling."""
    seen = []
    for prefill in (0, 64):
        runner = DistillRunner.from_cfg(with_queue(tmp_path, prefill=prefill))
        model = runner.model

        def train_step(data, optim_wrapper):
            seen.append((torch.stack(data['inputs']), torch.rand(1)))
            raise Stop

        model.train_step = train_step
        with pytest.raises(Stop):
            runner.train()
    assert torch.equal(seen[0][0], seen[1][0])


def test_start_epoch(tmp_path):
    runner = DistillRunner.from_cfg(with_queue(tmp_path, start_epoch=1))
    lengths = []
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        lengths.append(len(runner.model.losses.nce.queue))
        return original(*args, **kwargs)

    runner.model.train_step = train_step
    runner.train()
    assert lengths == [0, 0, 0, 0, 32, 64]


def test_queue_larger_than_the_dataset(tmp_path):
    cfg = with_queue(tmp_path)
    cfg.model.losses.nce.queue_size = 97
    with pytest.raises(ValueError, match='losses.nce.queue keeps 97 rows'):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize('prefill, message', [(65, 'size 64'), (97, 'keeps')])
def test_prefill_too_large(tmp_path, prefill, message):
    cfg = with_queue(tmp_path, prefill=prefill)
    if prefill == 97:
        cfg.model.losses.nce.queue_size = 200
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize(
    'hook, message',
    [(dict(start_epoch=1), 'train by epochs'),
     (dict(start_epoch=1, prefill=8), 'not both')])  # fmt: skip
def test_queue_that_would_never_work(tmp_path, hook, message):
    with pytest.raises(ValueError, match=message):
        cfg = with_queue(tmp_path, **hook)
        cfg.train_cfg = dict(by_epoch=False, max_iters=2)
        DistillRunner.from_cfg(cfg).train()


def test_resume_with_nothing_to_resume_from_is_a_fresh_start(tmp_path):
    cfg = with_queue(tmp_path, prefill=48)
    cfg.resume = True
    runner = DistillRunner.from_cfg(cfg)
    stop_at_first_step(runner)
    assert len(runner.model.losses.nce.queue) == 64


def test_queue_hook_without_a_queue(tmp_path):
    hook = dict(queue=dict(type='QueueHook'))
    cfg = digits_config(tmp_path, default_hooks=hook)
    with pytest.raises(ValueError, match='default_hooks.queue=None'):
        DistillRunner.from_cfg(cfg).train()
