from __future__ import annotations

import functools
from collections.abc import Callable

import mmengine.runner
from mmengine.runner import FlexibleRunner, LogProcessor, Runner
from torch.utils.data import DataLoader

from mmdistill.engine.lock import sole_run
from mmdistill.engine.log_processor import LossLogProcessor, LossNamesHook
from mmdistill.engine.resume import latest_checkpoint

# What MMEngine's BaseDataset says when it packs a list of no samples.
_NO_SAMPLES = 'need at least one array to concatenate'


def extend_runners() -> None:
    """Give every runner our hooks, a lock, means of losses, checks of data.

    A model cannot ask its runner for anything, and no config should have to
    name what every distiller needs; `ModelHook` is the one seam between the
    two. `FiniteLossHook` joins it unless the config has one. Training locks
    the work folder, and goes on from what `latest_checkpoint` finds. All
    processes share one seed, whatever ``randomness.diff_rank_seed`` says.
    """
    for runner in (Runner, FlexibleRunner):
        if hasattr(runner.register_hooks, '__wrapped__'):
            continue
        runner.register_hooks = _with_our_hooks(runner.register_hooks)
        runner.build_dataloader = staticmethod(
            _refusing_empty(runner.build_dataloader)
        )
        runner.build_log_processor = _smoothing_losses(
            runner.build_log_processor
        )
        runner.train = _alone(runner.train)
        runner.__init__ = _with_one_seed(runner.__init__)
    for module in (
        mmengine.runner,
        mmengine.runner.checkpoint,
        mmengine.runner.runner,
        mmengine.runner._flexible_runner,
    ):
        module.find_latest_checkpoint = latest_checkpoint


def _with_our_hooks(register_hooks: Callable) -> Callable:

    @functools.wraps(register_hooks)
    def wrapper(self, *args, **kwargs) -> None:
        # Imported late: `import mmdistill` alone stays as quick as MMPretrain.
        from mmdistill.engine.hooks import FiniteLossHook, ModelHook
        from mmdistill.engine.hooks.class_names_hook import ClassNamesHook
        from mmdistill.engine.hooks.resumed_settings_hook import (
            ResumedSettingsHook,
        )

        register_hooks(self, *args, **kwargs)
        self.register_hook(ModelHook())
        self.register_hook(ClassNamesHook())
        self.register_hook(ResumedSettingsHook())
        if isinstance(self.log_processor, LossLogProcessor):
            self.register_hook(LossNamesHook())
        if not any(isinstance(hook, FiniteLossHook) for hook in self.hooks):
            self.register_hook(FiniteLossHook())

    return wrapper


def _smoothing_losses(build_log_processor: Callable) -> Callable:

    @functools.wraps(build_log_processor)
    def wrapper(self, log_processor) -> LogProcessor:
        if isinstance(log_processor, dict):
            settings = dict(log_processor)
            kind = settings.pop('type', 'LogProcessor')
            known = kind in ('LogProcessor', 'mmengine.LogProcessor')
            if known and 'mean_pattern' not in settings:
                return LossLogProcessor(**settings)
        return build_log_processor(self, log_processor)

    return wrapper


def _alone(train: Callable) -> Callable:

    @functools.wraps(train)
    def wrapper(self, *args, **kwargs):
        with sole_run(self.work_dir):
            return train(self, *args, **kwargs)

    return wrapper


def _with_one_seed(init: Callable) -> Callable:
    """Take ``diff_rank_seed`` out: `ModelHook` does what it is there for.

    Each process draws numbers of its own in training anyway. With a seed of
    its own besides, each would shuffle the data differently, and their shares
    overlap.
    """

    @functools.wraps(init)
    def wrapper(self, *args, **kwargs) -> None:
        randomness = kwargs.get('randomness')
        if randomness and randomness.get('diff_rank_seed'):
            kwargs['randomness'] = {**randomness, 'diff_rank_seed': False}
        init(self, *args, **kwargs)

    return wrapper


def _refusing_empty(build_dataloader: Callable) -> Callable:

    @functools.wraps(build_dataloader)
    def wrapper(dataloader, *args, **kwargs) -> DataLoader:
        try:
            loader = build_dataloader(dataloader, *args, **kwargs)
            empty = len(loader.dataset) == 0
        except ValueError as error:
            if _NO_SAMPLES not in str(error):
                raise
            empty = True
        if empty:
            raise ValueError(
                'this dataset has no sample; check data_root, data_prefix, '
                'ann_file and split in the dataset of train_dataloader, '
                f'val_dataloader or test_dataloader: {dataloader}'
            )
        return loader

    return wrapper
