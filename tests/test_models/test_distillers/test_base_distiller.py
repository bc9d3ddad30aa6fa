"""Weights of a distiller and of its student alone."""

import pytest
import torch
from offline_distiller import ALL, build, train

from mmdistill.checkpoints import CheckpointError


def test_loads_full_and_exported_student():
    model, other = build(ALL), build(ALL)
    train(model, steps=2)
    other.load_state_dict(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    fresh = build(ALL)
    fresh.load_state_dict(model.student.state_dict())
    for name, value in model.student.state_dict().items():
        assert torch.equal(value, fresh.student.state_dict()[name])


@pytest.mark.parametrize('exported', [True, False])
@pytest.mark.parametrize('damage', ['missing', 'shape'])
def test_refuses_an_incomplete_student(exported, damage):
    from mmengine.runner.checkpoint import load_state_dict

    model = build()
    state = (model.student if exported else model).state_dict()
    key = [k for k in state if k.endswith('layer2.0.conv1.weight')][0]
    if damage == 'missing':
        del state[key]
    else:
        state[key] = state[key][:, :1]
    for load in (model.load_state_dict, lambda s: load_state_dict(model, s)):
        with pytest.raises(CheckpointError, match='layer2.0.conv1.weight'):
            load(dict(state))
