from __future__ import annotations

import inspect

from mmengine.runner import FlexibleRunner, Runner


def refuse_other_runners() -> None:
    """Raise if a runner that does not know distillers takes this step.

    A model is not told who trains it; the stack of calls says so.

    Raises:
        RuntimeError: naming the runner, and the one to take.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get('self')
        if isinstance(caller, (Runner, FlexibleRunner)):
            raise RuntimeError(
                f'a distiller runs under {type(caller).__name__}, which does '
                "not tell it of its data; set runner_type='DistillRunner' in "
                'the config, or use DistillRunner.from_cfg of '
                'mmdistill.engine.runner'
            )
        frame = frame.f_back
