"""Parameters that rest for a while."""

import pytest
import torch
from helpers import hooked


def watch(runner):
    """The student's classifier before every step, and at the end."""
    seen = []
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        seen.append(runner.model.student.head.fc.weight.detach().clone())
        return original(*args, **kwargs)

    runner.model.train_step = train_step
    runner.train()
    return [*seen, runner.model.student.head.fc.weight.detach().clone()]


@pytest.mark.parametrize(
    'limit, steps', [({'iters': 4}, 4), ({'epochs': 1}, 3)]
)
def test_freeze(tmp_path, limit, steps):
    hook = dict(type='FreezeHook', module='student.head.fc', **limit)
    runner = hooked(
        tmp_path, hook, **{'optim_wrapper.optimizer.weight_decay': 0.1}
    )
    seen = watch(runner)
    for before, after in zip(seen[:steps], seen[1:], strict=False):
        assert torch.equal(before, after)  # weight decay does not act either
    assert not torch.equal(seen[steps], seen[steps + 1])
    # everything else has learnt from the first step on
    momentum = runner.optim_wrapper.optimizer.state
    assert len(momentum) == len(list(runner.model.student.parameters()))


def test_freeze_with_accumulation(tmp_path):
    hook = dict(type='FreezeHook', module='student.head.fc', iters=2)
    runner = hooked(tmp_path, hook, **{'optim_wrapper.accumulative_counts': 2})
    seen = watch(runner)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[2], seen[4])


@pytest.mark.parametrize(
    'hook, message',
    [(dict(module='student.head.fc'), 'one of iters and epochs'),
     (dict(module='student.tail', epochs=1), 'no module')])  # fmt: skip
def test_freeze_of_nothing(tmp_path, hook, message):
    with pytest.raises(ValueError, match=message):
        hooked(tmp_path, dict(type='FreezeHook', **hook)).train()
