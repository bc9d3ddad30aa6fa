"""The state dict in a file of any layout."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmdistill.checkpoints import CheckpointError, state_dict_of


def test_state_dict_of_every_layout():
    weights = {'a.weight': torch.ones(1), 'module': torch.zeros(1)}
    parallel = {f'module.{key}': value for key, value in weights.items()}
    for checkpoint in (
        weights,
        parallel,
        dict(state_dict=weights, meta={}),
        dict(state_dict=parallel, model=3),
        dict(model=parallel, epoch=240),
    ):
        assert dict(state_dict_of(checkpoint, 'x.pth')) == weights


def test_state_dict_of_keeps_layer_versions():
    """Without them layers take the file for one of an older release."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2)))
    expected = model.state_dict()._metadata
    assert expected['0'] == dict(version=2)
    for source in (model, nn.DataParallel(model)):
        got = state_dict_of(source.state_dict(), 'x.pth')
        assert {key: got._metadata[key] for key in expected} == expected
        model.load_state_dict(got)


@pytest.mark.parametrize(
    'checkpoint, message',
    [
        (torch.ones(1), 'a Tensor'),
        ([torch.ones(1)], 'a list'),
        ({}, 'an empty dict'),
        (dict(state_dict={}), 'an empty dict'),
        (dict(state_dict=[1]), 'a list'),
        (dict(a=torch.ones(1), epoch=3), r"\['epoch'\]"),
        (dict(state_dict={'a': 'text'}), r"\['a'\]"),
        ({3: torch.ones(1)}, r'\[3\]'),
    ],
)
def test_state_dict_of_other_things(checkpoint, message):
    with pytest.raises(CheckpointError, match=message) as info:
        state_dict_of(checkpoint, 'some.pth')
    assert 'some.pth' in str(info.value)
    assert "expected a dict with 'state_dict'" in str(info.value)
