from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.autograd import Variable


def after_backward(output: Tensor, function: Callable[[], None]) -> None:
    """Call ``function`` once, after the backward pass through ``output``.

    Memories use it to update their buffers in place. The loss's graph has
    saved these buffers: before ``backward`` autograd would reject the changed
    tensor, afterwards the old content is no longer needed. The training loop
    is not involved, so it works under DDP, gradient accumulation and gradient
    scaling.

    Args:
        output: a tensor of the graph; if it requires no gradient, function is
            never called.
        function: called without arguments.
    """
    if not output.requires_grad:
        return
    pending = [function]

    def queue(_: Tensor) -> None:
        if pending:
            Variable._execution_engine.queue_callback(pending.pop())

    output.register_hook(queue)
