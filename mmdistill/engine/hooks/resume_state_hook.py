from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook

from mmdistill.datasets.sample_stream import KeyedSampler, index_samples
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class ResumeStateHook(Hook):
    """Makes a resumed run equal one that was never stopped.

    It keeps the generators of python, numpy, torch and CUDA of every process
    in checkpoints, and makes augmentation a function of (seed, draw, sample).
    The sampler shuffles by the run's seed, unless it has one in the config.
    Random numbers drawn between training steps (validation, dataloader start)
    do not count: a step starts from where the last one ended.

    MMEngine resumes epoch-based training at epoch ends; iteration-based
    training resumes anywhere.

    Config:
        default_hooks=dict(resume_state=dict(type='ResumeStateHook'))
    """

    # Before CheckpointHook, which saves what was captured here.
    priority = 'BELOW_NORMAL'

    def __init__(self) -> None:
        self._states: list[dict] | None = None
        self._pending: dict | None = None

    def before_run(self, runner) -> None:
        if hasattr(runner._train_loop, 'dataloader'):
            index_samples(runner._train_loop.dataloader, seed=runner.seed)

    def before_train(self, runner) -> None:
        loader = runner.train_dataloader
        # The seed may have come from the checkpoint.
        loader.dataset.seed = runner.seed
        if hasattr(loader.sampler, 'seed') and not _names_seed(runner.cfg):
            loader.sampler.seed = runner.seed
        sampler = getattr(loader.batch_sampler, 'sampler', None)
        if isinstance(sampler, KeyedSampler):
            sampler.start = runner.iter * (loader.batch_size or 1)

    def before_train_iter(self, runner, *args, **kwargs) -> None:
        if self._pending is not None:
            _restore(self._pending)
            self._pending = None

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if any(self._saves_now(hook, runner) for hook in runner.hooks):
            self._hold()

    def after_train_epoch(self, runner) -> None:
        self._hold()

    def before_val(self, runner) -> None:
        self._hold()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self._states is None and get_world_size() == 1:
            self._states = [_capture()]
        if self._states is not None:
            checkpoint['random_state'] = self._states

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        states = checkpoint.get('random_state')
        if states is None:
            runner.logger.warning(
                'the checkpoint holds no random state: the '
                'resumed run is not bit-equal'
            )
        elif len(states) != get_world_size():
            runner.logger.warning(
                f'the checkpoint was written by {len(states)} process(es), '
                f'now there are {get_world_size()}: weights, memories and '
                'schedules resume, random states and the split of the data '
                'over processes do not'
            )
        else:
            self._pending = states[get_rank()]

    def _hold(self) -> None:
        """Take the state now and go on from it at the next step."""
        if self._pending is None:
            self._pending = _capture()
        self._states = [self._pending]
        if get_world_size() > 1:
            self._states = [None] * get_world_size()
            torch.distributed.all_gather_object(self._states, self._pending)

    @staticmethod
    def _saves_now(hook: Hook, runner) -> bool:
        """Whether a CheckpointHook saves after this iteration."""
        return (
            isinstance(hook, CheckpointHook)
            and not hook.by_epoch
            and (
                hook.every_n_train_iters(runner, hook.interval)
                or (hook.save_last and hook.is_last_train_iter(runner))
            )
        )


def _names_seed(cfg: Config) -> bool:
    """Whether the training sampler has a seed of its own in the config."""
    sampler = (cfg.get('train_dataloader') or {}).get('sampler')
    return isinstance(sampler, dict) and sampler.get('seed') is not None


def _capture() -> dict:
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state = dict(
        python=random.getstate(),
        numpy=(
            kind,
            torch.from_numpy(keys.astype(np.int64)),
            position,
            has_gauss,
            cached,
        ),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def _restore(state: dict) -> None:
    version, keys, gauss = state['python']
    random.setstate((version, tuple(keys), gauss))
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())
