from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.autograd import Variable


def after_backward(output: Tensor, function: Callable[[], None]) -> None:
    """Call ``function`` once, when the backward pass of ``output`` has ended.

    This is how a memory changes in place although the loss's graph has saved
    it: before ``backward`` autograd would refuse the changed tensor, and
    afterwards nothing needs the old content. It asks nothing of the training
    loop, so it works under DDP, gradient accumulation and gradient scaling.

    Args:
        output: a tensor of the graph; without a graph nothing is ever called.
        function: called with no argument.
    """
    if not output.requires_grad:
        return
    pending = [function]

    def queue(_: Tensor) -> None:
        if pending:
            Variable._execution_engine.queue_callback(pending.pop())

    output.register_hook(queue)
