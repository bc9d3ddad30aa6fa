"""Batches and steps, and what does not divide."""

import pytest

from mmdistill.engine.doctor.step_counts import StepCounts, uneven_steps


def config(batch=10, drop_last=False, accumulated=1, **loop):
    return dict(
        train_dataloader=dict(
            batch_size=batch,
            drop_last=drop_last,
            sampler=dict(type='DefaultSampler'),
        ),
        train_cfg=loop or dict(max_epochs=3),
        optim_wrapper=dict(accumulative_counts=accumulated),
    )


@pytest.mark.parametrize(
    ('cfg', 'samples', 'processes', 'per_epoch', 'steps', 'last'),
    [
        (config(), 95, 1, 10, 30, 5),
        (config(drop_last=True), 95, 1, 9, 27, 0),
        (config(), 95, 2, 5, 15, 8),  # 48 each, one sample twice
        (config(max_iters=7), 95, 1, 10, 7, 5),
    ],
)
def test_counts(cfg, samples, processes, per_epoch, steps, last):
    found = StepCounts.of(cfg, samples, processes)
    assert (found.per_epoch, found.steps) == (per_epoch, steps)
    assert found.last == last


def test_a_sampler_without_an_end():
    cfg = config(max_iters=7)
    cfg['train_dataloader']['sampler'] = dict(type='InfiniteSampler')
    found = StepCounts.of(cfg, 95)
    assert (found.per_epoch, found.steps, found.last) == (None, 7, 0)


def test_said_in_words():
    found = StepCounts.of(config(accumulated=3), 95, 2)
    assert str(found) == (
        'batch: 10 samples x 2 processes x 3 accumulated = 60 an update, '
        '5 steps an epoch, 15 steps in all'
    )


@pytest.mark.parametrize(
    ('cfg', 'samples', 'processes', 'keys'),
    [
        (config(), 95, 1, []),
        (config(), 91, 1, ['train_dataloader.batch_size']),
        (config(drop_last=True), 91, 1, []),
        (config(drop_last=True), 9, 1, ['train_dataloader.batch_size']),
        (config(accumulated=3), 95, 1, ['optim_wrapper.accumulative_counts']),
        (
            dict(config(), auto_scale_lr=dict(base_batch_size=10)),
            100,
            2,
            ['auto_scale_lr.base_batch_size'],
        ),
    ],
)
def test_what_does_not_divide(cfg, samples, processes, keys):
    counts = StepCounts.of(cfg, samples, processes)
    assert [one.key for one in uneven_steps(cfg, counts)] == keys


def test_shares_that_differ():
    cfg = config()
    cfg['train_dataloader']['sampler']['round_up'] = False
    counts = StepCounts.of(cfg, 95, 2)
    (finding,) = uneven_steps(cfg, counts)
    assert finding.key == 'train_dataloader.sampler.round_up'
    assert finding.is_error
