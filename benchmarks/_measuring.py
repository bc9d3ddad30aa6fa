"""How long functions take, and how much memory a call needs."""

import time
from collections.abc import Callable


def synchronize(device: str) -> None:
    """Wait for what a GPU still has to do."""
    if device != 'cpu':
        import torch

        torch.cuda.synchronize()


def seconds_of(function: Callable, device: str = 'cpu') -> float:
    """Seconds that one call takes."""
    synchronize(device)
    start = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - start


def in_turns(
    functions: dict[str, Callable],
    repeats: int,
    device: str = 'cpu',
    warm_up: int = 1,
) -> dict[str, list[float]]:
    """Seconds of every call; the functions take turns and so share the noise.

    The first ``warm_up`` rounds are not among them.
    """
    seconds = {name: [] for name in functions}
    for repeat in range(repeats + warm_up):
        for name, function in functions.items():
            elapsed = seconds_of(function, device)
            if repeat >= warm_up:
                seconds[name].append(elapsed)
    return seconds


def peak_of(step: Callable, device: str) -> int:
    """Bytes by which a call raises what PyTorch allocates, at its highest.

    Call ``step`` before, to warm up.
    """
    import torch

    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(
        activities=activities, profile_memory=True, acc_events=True
    ) as profile:
        step()
    now = peak = 0
    # Allocations and releases in their order.
    for event in profile.profiler.kineto_results.events():
        if event.name() == '[memory]':
            now += event.nbytes()
            peak = max(peak, now)
    return peak
