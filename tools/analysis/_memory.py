"""How much memory a call needs, on the CPU or on a GPU."""

from collections.abc import Callable


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
