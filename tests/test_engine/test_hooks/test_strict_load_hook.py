"""Which tensors a checkpoint must have before a model is tested."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from helpers import distiller, tiny_classifier

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
from mmdistill.registry import MODELS


@pytest.fixture
def model():
    """A distiller whose loss has tensors of its own."""
    losses = dict(hint=dict(type='HintLoss'))
    teacher = tiny_classifier(depth=14, widths=(4, 4, 12, 16))
    cfg = distiller('OfflineDistiller', teacher=teacher, losses=losses)
    return MODELS.build(cfg)


def check(model, checkpoint):
    runner = SimpleNamespace(
        model=model, _load_from='file.pth', _test_loop=None
    )
    StrictLoadHook().after_load_checkpoint(runner, checkpoint)


def without(state, *endings):
    return {k: v for k, v in state.items() if not k.endswith(endings)}


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_only_the_student_of_a_distiller_counts(model, prefix):
    of_loss = [key for key in model.state_dict() if 'losses.hint' in key]
    assert len(of_loss) > 1
    full = {
        prefix + key: value
        for key, value in without(model.state_dict(), of_loss[0]).items()
    }
    full[prefix + of_loss[1]] = torch.zeros(9)
    check(model, {'state_dict': full})
    check(model, without(model.student.state_dict(), 'num_batches_tracked'))
    for state in (model.state_dict(), model.student.state_dict()):
        with pytest.raises(
            CheckpointError, match=r'missing: head\.fc\.bias \(10,\)'
        ):
            check(model, {'state_dict': without(state, 'head.fc.bias')})


def test_a_distiller_checkpoint_for_a_plain_model_is_explained(model):
    with pytest.raises(CheckpointError, match='full checkpoint of a dist'):
        check(model.student, {'state_dict': model.state_dict()})


def test_long_lists_are_cut():
    model = torch.nn.ModuleList([torch.nn.Linear(1, 1) for _ in range(9)])
    with pytest.raises(CheckpointError) as error:
        check(model, {'other': torch.zeros(1)})
    message = str(error.value)
    assert 'of its 18 tensors 18 are missing' in message
    assert message.count('missing:') == 12
    assert '... and 6 more' in message
