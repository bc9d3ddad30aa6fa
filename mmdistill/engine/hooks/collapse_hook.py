from __future__ import annotations

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmdistill.engine.utils import student_of, unwrap
from mmdistill.evaluation.collapse import (
    effective_rank,
    prototype_usage,
    spread,
)
from mmdistill.models.parts import prototypes_of
from mmdistill.models.probing import evaluating
from mmdistill.models.representation import (
    Representation,
    RepresentationReader,
)
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class CollapseMonitorHook(Hook):
    """Logs whether the student still tells the images of a batch apart.

    Of the L2-normalized embeddings (features, of a model without embeddings):
    ``train/collapse/std`` (about 1 where they are spread evenly, 0 where all
    are one) and ``train/collapse/rank`` (dimensions in use). Of a model with
    prototypes also ``train/collapse/prototype_entropy`` (1 is even use) and
    ``train/collapse/prototype_usage`` (fraction that some image chooses).

    Every ``interval`` iterations the student sees the first view of this
    process's batch once more, in eval mode; training is not changed by it.

    Args:
        interval: iterations from one measurement to the next.
        min_std: a warning is logged, once, when the standard deviation is
            below it.
        temperature: of the prototypes' softmax.
    Config:
        default_hooks=dict(collapse_monitor=dict(
            type='CollapseMonitorHook', interval=100))
    """

    # Before LoggerHook, which writes what is measured here.
    priority = 'NORMAL'

    def __init__(
        self,
        interval: int = 100,
        min_std: float = 0.1,
        temperature: float = 0.1,
    ) -> None:
        self.interval = interval
        self.min_std = min_std
        self.temperature = temperature
        self._warned = False

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = unwrap(runner.model)
        student = student_of(model)
        inputs = model.data_preprocessor(data_batch, False)['inputs']
        view = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        if len(view) < 2:
            return  # a single image differs from nothing
        with torch.no_grad(), evaluating(student):
            seen = RepresentationReader(student)(view)
        measured = self._measure(student, seen)
        for name, value in measured.items():
            runner.message_hub.update_scalar(f'train/collapse/{name}', value)
        if not self._warned and measured['std'] < self.min_std:
            self._warned = True
            runner.logger.warning(self._warning(runner, measured))

    def _measure(
        self, student: nn.Module, seen: Representation
    ) -> dict[str, Tensor]:
        x = seen.feature if seen.embedding is None else seen.embedding
        measured = dict(std=spread(x), rank=effective_rank(x))
        if prototypes_of(student) is not None:
            entropy, usage = prototype_usage(seen.logits, self.temperature)
            measured.update(prototype_entropy=entropy, prototype_usage=usage)
        return measured

    def _warning(self, runner, measured: dict[str, Tensor]) -> str:
        return (
            'the representations are collapsing: the normalized embeddings '
            f'of iteration {runner.iter + 1} have the standard deviation '
            f'{float(measured["std"]):.4f}, below CollapseMonitorHook.min_std='
            f'{self.min_std} (about 1 is even), and the effective rank '
            f'{float(measured["rank"]):.1f}. Look at what keeps samples '
            'apart: the teacher temperature (too high?), center, prior and '
            'Sinkhorn iterations (too few?), the momentum of slow copies (too '
            'low?), the learning rate and its warm-up (too fast?), and '
            'whether the teacher itself tells them apart. This is said once; '
            'train/collapse/std goes on.'
        )
