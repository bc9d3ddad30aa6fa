from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch import nn
from torch.utils.data import Dataset

from mmdistill.engine.utils import student_of, unwrap
from mmdistill.models.probing import evaluating
from mmdistill.registry import HOOKS
from mmdistill.utils.progress import say


@HOOKS.register_module()
class ReportHook(Hook):
    """Writes ``report.html`` into the work folder when training has ended.

    One page that needs no other file: results, curves, where student and
    teacher differ, features, Grad-CAM, cost, config. A report that cannot be
    made fails no run: the log says why. ``tools/report.py`` makes one of any
    finished run.

    Args:
        baseline: work folder of the student alone, to compare with.
        images: of the validation set, at most, which the models are shown.
        seconds: after which they are shown no more.
    Config:
        default_hooks=dict(report=dict(type='ReportHook',
                                       baseline='work_dirs/student_alone'))
    """

    # Behind the hooks that write the student.
    priority = 'LOWEST'

    def __init__(
        self,
        baseline: str | None = None,
        images: int = 1000,
        seconds: float = 20.0,
    ) -> None:
        self.baseline = baseline
        self.images = images
        self.seconds = seconds

    @master_only
    def after_train(self, runner) -> None:
        try:
            # Imported late: drawing is of no use before.
            from mmdistill.report import make_report

            model = unwrap(runner.model)
            with evaluating(model), _kept(student_of(model)):
                # Nothing is built anew: that may wait for other processes,
                # which are done.
                path = make_report(
                    runner.work_dir,
                    baseline=self.baseline,
                    images=self.images,
                    seconds=self.seconds,
                    device=next(model.parameters()).device,
                    model=model,
                    dataset=_validation_set(runner),
                )
        except Exception as error:
            runner.logger.warning(
                f'there is no report of this run: {type(error).__name__}: '
                f'{error}. Once that is repaired, tools/report.py '
                f'{runner.work_dir} makes it; default_hooks.report=None '
                'leaves it out'
            )
        else:
            say(f'wrote the report to {path}')


@contextmanager
def _kept(student: nn.Module) -> Iterator[None]:
    """Give a network its weights back, whatever it was given meanwhile."""
    state = copy.deepcopy(student.state_dict())
    try:
        yield
    finally:
        student.load_state_dict(state)


def _validation_set(runner) -> Dataset | None:
    loop = runner._val_loop
    return loop.dataloader.dataset if isinstance(loop, BaseLoop) else None
