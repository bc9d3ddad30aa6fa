"""How much memory a call needs, on the CPU (Linux) or on a GPU."""

import ctypes
from collections.abc import Callable
from pathlib import Path


def peak_of(step: Callable, device: str) -> int:
    """Bytes by which a call raises the memory in use, at its highest.

    Of a GPU it is what PyTorch's allocator gave out, of the CPU what the
    kernel counts for this process. Call ``step`` before, to warm up.
    """
    if device != 'cpu':
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    # What malloc keeps from earlier calls would hide what this one needs.
    ctypes.CDLL(None).malloc_trim(0)
    before = _process_memory('VmRSS')
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
    step()
    return _process_memory('VmHWM') - before


def _process_memory(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path('/proc/self/status').read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return 1024 * int(line.split()[1])
