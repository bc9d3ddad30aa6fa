"""What a model costs where it is used: parameters, FLOPs, time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Cost:
    """Of one image.

    Attributes:
        parameters: number of them, of the whole model.
        flops: floating-point operations of one image; an addition and a
            multiplication are two.
        seconds: median time of one image.
    """

    parameters: int
    flops: int | None = None
    seconds: float | None = None


def cost_of(
    model: nn.Module,
    image: Tensor | None,
    run: Callable[[Tensor], object] | None = None,
) -> Cost:
    """Measure a model.

    Args:
        model: whose parameters count.
        image: (1, C, H, W) on its device; without, only parameters count.
        run: how it answers; ``model(image)`` by default.
    """
    parameters = sum(p.numel() for p in model.parameters())
    if image is None:
        return Cost(parameters)
    run = run or model
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            run(image)
        return Cost(
            parameters,
            counter.get_total_flops(),
            median_time(lambda: run(image)),
        )


def median_time(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Median seconds of a call, which is made for about ``seconds``."""
    call()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < seconds and len(times) < 50):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
