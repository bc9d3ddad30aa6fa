"""Parameters and operations of layers that can be counted by hand."""

import pytest
import torch
from torch import nn

from mmdistill.report.cost import cost_of, median_time


def test_a_convolution_and_a_linear_layer():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
    )
    cost = cost_of(model, torch.zeros(1, 3, 4, 4))
    assert cost.parameters == 8 * 3 * 9 + 10 * 128 + 10
    assert cost.flops == 2 * (16 * 8 * 3 * 9 + 10 * 128)
    assert 0 < cost.seconds < 1


def test_without_an_image_nothing_is_run():
    cost = cost_of(nn.Linear(2, 3), None)
    assert (cost.parameters, cost.flops, cost.seconds) == (9, None, None)


def test_the_median_is_not_the_first_call(monkeypatch):
    clock = iter([0.0, 5.0, 5.0, 6.0, 6.0, 6.5])  # 5, 1 and 0.5 seconds
    monkeypatch.setattr('time.perf_counter', lambda: next(clock))
    assert median_time(lambda: None) == pytest.approx(1.0)
