from __future__ import annotations

import contextlib
import copy
import os
import re
from collections.abc import Sequence
from typing import Any

from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import (
    BaseLoop,
    CheckpointLoader,
    LogProcessor,
    Runner,
    set_random_seed,
)
from mmengine.runner.checkpoint import load_state_dict
from torch import nn
from torch.utils.data import DataLoader

from mmdistill.checkpoints import loading_policy, state_dict_of
from mmdistill.datasets import dataset_labels
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine import checks, dataloaders
from mmdistill.engine.console import drop_noise, hush
from mmdistill.engine.hook_keys import by_key
from mmdistill.engine.lock import sole_run
from mmdistill.engine.log_processor import LossLogProcessor, LossNamesHook
from mmdistill.engine.resume import latest_checkpoint
from mmdistill.engine.summary import summary
from mmdistill.engine.utils import optimizers, unwrap
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.distillers.first_edition import reorder_optimizer
from mmdistill.registry import RUNNERS


@RUNNERS.register_module()
class DistillRunner(Runner):
    """MMEngine's runner, which also does what a distiller cannot do itself.

    - The distiller learns the training set's length and labels, and samples
      know their index.
    - Checks that need the whole run are made before its first step.
    - Checkpoints are read and written by our policy (`loading_policy`), and
      training locks the work folder.
    - A resumed run goes on as if it had not stopped.
    - Every loss is logged as a mean over the same steps.
    - The console gets one page before the first step; the environment, the
      whole config and the list of hooks stand in the log file. With
      ``log_level='DEBUG'`` they are printed, too.
    - Hooks have keys in ``default_hooks``: those that every run has are
      ``resume_state``, ``finite_loss``, ``class_names`` and
      ``resumed_settings``. ``custom_hooks`` is the user's alone.

    ``tools/train.py`` and ``tools/test.py`` use it unless a config names
    another ``runner_type``; models that are no distillers run with it, too.

    Args:
        args, kwargs: of MMEngine's. ``randomness.diff_rank_seed`` is without
            effect: all processes share the seed of weights and shuffling, and
            each draws its own random numbers in training.
    Raises:
        ValueError, KeyError: before the first step, for what would fail or
            mislead later; each names the config key.
        CheckpointError: for a file that cannot be resumed from or loaded.
        FolderInUse: if another run trains in the work folder.
    Config:
        runner_type='DistillRunner'
    """

    _is_checked = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._hushed = contextlib.ExitStack()
        with self._hushed:
            super().__init__(*args, **kwargs)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build it; till the runner is built the console gets warnings."""
        logger = super().build_logger(*args, **kwargs)
        drop_noise(logger)
        self._hushed.push(hush(logger))
        return logger

    def dump_config(self) -> None:
        """Write the config into the run's own folder.

        `train` also writes it into the work folder, where a test must not
        replace it.
        """
        name = os.path.basename(self.cfg.filename or f'{self.timestamp}.py')
        self.cfg.dump(os.path.join(self.log_dir, name))

    def train(self) -> nn.Module:
        """Train; see MMEngine's."""
        with loading_policy(), sole_run(self.work_dir):
            folder = os.path.dirname(os.path.abspath(self.cfg.filename or ''))
            if os.path.realpath(folder) != os.path.realpath(self.work_dir):
                super().dump_config()  # else what a user wrote lies there
            return super().train()

    def val(self) -> dict[str, float]:
        """Validate; see MMEngine's."""
        with loading_policy():
            return super().val()

    def test(self) -> dict[str, float]:
        """Test; see MMEngine's."""
        with loading_policy():
            return super().test()

    # What is built ----------------------------------------------------------
    def set_randomness(
        self, seed: int, diff_rank_seed: bool = False, **kwargs: Any
    ) -> None:
        """Seed all processes alike: else their shares of the data overlap."""
        super().set_randomness(seed, diff_rank_seed=False, **kwargs)

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, *args: Any, **kwargs: Any
    ) -> DataLoader:
        """Build a dataloader; a dataset without samples is an error."""
        return dataloaders.build_dataloader(dataloader, *args, **kwargs)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the loop, and tell a distiller of its data."""
        if isinstance(loop, BaseLoop):
            return loop
        loop = super().build_train_loop(loop)
        model = unwrap(self.model)
        if isinstance(model, BaseDistiller):
            index_samples(loop.dataloader)
            dataset = loop.dataloader.dataset
            labels = dataset_labels(dataset) if model.needs_labels() else None
            model.set_training_set(len(dataset), labels)
        return loop

    def build_optim_wrapper(
        self, optim_wrapper: OptimWrapper | dict
    ) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer, of the parameters that learn alone.

        MMEngine hands it frozen ones, too: of momentum copies and of the
        backbones of linear probes.
        """
        wrapper = super().build_optim_wrapper(optim_wrapper)
        for optimizer in optimizers(wrapper):
            for group in optimizer.param_groups:
                group['params'] = [
                    p for p in group['params'] if p.requires_grad
                ]
        return wrapper

    def build_log_processor(self, log_processor: Any) -> LogProcessor:
        """Build it; MMEngine's becomes one that smooths every loss."""
        if isinstance(log_processor, dict):
            settings = dict(log_processor)
            kind = settings.pop('type', 'LogProcessor')
            known = kind in ('LogProcessor', 'mmengine.LogProcessor')
            if known and 'mean_pattern' not in settings:
                return LossLogProcessor(**settings)
        return super().build_log_processor(log_processor)

    def register_hooks(
        self,
        default_hooks: dict[str, Hook | dict] | None = None,
        custom_hooks: list[Hook | dict] | None = None,
    ) -> None:
        """Register the hooks of a config, and those that every run has.

        Raises:
            KeyError: for a key of ``default_hooks`` that is misspelt.
        """
        default_hooks, custom_hooks = by_key(
            copy.deepcopy(default_hooks),
            custom_hooks,
            self.cfg.get('method_hooks'),
        )
        super().register_hooks(default_hooks, custom_hooks)
        if isinstance(self.log_processor, LossLogProcessor):
            self.register_hook(LossNamesHook())

    # Checkpoints ------------------------------------------------------------
    def load_or_resume(self) -> None:
        """Load what the config names; before training, check the run.

        A resume without a file goes on from the newest full checkpoint of the
        work folder (`latest_checkpoint`).
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            found = latest_checkpoint(self.work_dir)
            if found is None:
                self.logger.info(
                    f'{self.work_dir} has no checkpoint to resume from: the '
                    'run begins'
                )
            else:
                self.resume(found)
        else:
            super().load_or_resume()
        # In test and val runs the training loop stays an unbuilt config.
        if isinstance(self._train_loop, BaseLoop) and not self._is_checked:
            self._is_checked = True
            checks.check_run(self)
            self._seed_process()
        if is_main_process():
            self.logger.info(summary(self))

    def _seed_process(self) -> None:
        """Give every process but the first its own random numbers.

        Till here all draw alike: weights and memories begin equal. What is
        drawn for a step (negatives, dropout, crops on the device) differs.
        """
        if get_rank():
            set_random_seed(hash((self.seed, get_rank())) % 2**32)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = 'cpu',
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = (),
    ) -> dict:
        """Load a checkpoint into the model; see MMEngine's.

        Args:
            filename: a path, or an address that MMEngine reads.
            map_location: as of ``torch.load``.
            strict: refuse missing and left over tensors.
            revise_keys: patterns and what replaces them in the weights'
                names, from which the prefix 'module.' is gone already.
        Raises:
            CheckpointError: if it cannot be used, see `check_checkpoint`.
        """
        with loading_policy():
            checkpoint = CheckpointLoader.load_checkpoint(
                filename, map_location
            )
        if not isinstance(checkpoint, dict):
            checkpoint = dict(state_dict=checkpoint)
        checks.check_checkpoint(self, checkpoint, filename)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = state_dict_of(checkpoint, filename)
        for pattern, replacement in revise_keys:
            for key in list(state):  # in place: it has layer versions, too
                state[re.sub(pattern, replacement, key)] = state.pop(key)
        model = unwrap(self.model)
        if isinstance(model, BaseDistiller) and 'optimizer' in checkpoint:
            reorder_optimizer(model, state, checkpoint['optimizer'])
        load_state_dict(model, state, strict, self.logger)
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def save_checkpoint(
        self, *args: Any, meta: dict | None = None, **kwargs: Any
    ) -> None:
        """Save a checkpoint, with the hash of a frozen teacher's weights."""
        if not is_main_process():
            return
        model = unwrap(self.model)
        if isinstance(model, BaseDistiller):
            meta = {**(meta or {}), **model.targets.meta()}
        with loading_policy():
            super().save_checkpoint(*args, meta=meta, **kwargs)
