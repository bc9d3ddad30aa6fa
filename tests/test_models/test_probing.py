"""Looking at a network changes nothing of it."""

import pytest
import torch
from torch import nn

from mmdistill.models.probing import (
    attributes,
    dry_run,
    evaluating,
    last_calls,
)


def network():
    """Draws in both modes, and counts images in training."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.RReLU(),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 5),
    )


def test_a_dry_run_leaves_no_trace():
    model = network().double()
    model[1].eval()  # not all modes are alike
    before = {key: x.clone() for key, x in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    drawn = torch.get_rng_state()

    def run(image):
        torch.rand(3)
        return model(image)

    output = dry_run(run, model, (3, 8, 8), 'model.student', 'set it')
    assert output.shape == (1, 5) and output.dtype == torch.float64
    assert not output.requires_grad
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [m.training for m in model.modules()] == modes
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_a_dry_run_that_fails_says_what_to_change():
    model = network()
    with pytest.raises(
        ValueError,
        match=r'dry run of model.student on one image of size \(3, 9, 9\) '
        'failed: .*; set model.input_size',
    ):
        dry_run(
            model, model, [3, 9, 9], 'model.student', 'set model.input_size'
        )
    assert all(m.training for m in model.modules())


def test_errors_that_explain_themselves_pass():
    def refuse(image):
        raise ValueError('the neck gives maps')

    with pytest.raises(ValueError, match='^the neck gives maps$'):
        dry_run(refuse, network(), (3, 8, 8), 'model', 'set it')


def test_modes_and_attributes_come_back_after_an_error():
    model = network()
    model.kept = 1
    with (
        pytest.raises(KeyError),
        evaluating(model),
        attributes(model, kept=2, added=3),
    ):
        assert not any(m.training for m in model.modules())
        assert (model.kept, model.added) == (2, 3)
        raise KeyError
    assert all(m.training for m in model.modules())
    assert model.kept == 1 and not hasattr(model, 'added')


def test_the_last_call_of_a_module_counts():
    model = nn.Linear(2, 2)
    x, y = torch.rand(1, 2), torch.rand(3, 2)
    with last_calls([model]) as calls:
        model(x)
        expected = model(y)
    given, output = calls[model]
    assert given is y and output is expected
    model(x)
    assert calls[model][0] is y
