from __future__ import annotations

import functools
from collections.abc import Callable

from mmengine.runner import FlexibleRunner, LogProcessor, Runner
from torch.utils.data import DataLoader

from mmdistill.engine.log_processor import LossLogProcessor, LossNamesHook

# What MMEngine's BaseDataset says when it packs a list of no samples.
_NO_SAMPLES = 'need at least one array to concatenate'


def extend_runners() -> None:
    """Give every runner our checks, means of losses, a word for empty data.

    A model cannot ask its runner for anything, and no config should have to
    name what every distiller needs; this is the one seam between the two.
    """
    for runner in (Runner, FlexibleRunner):
        if hasattr(runner.register_hooks, '__wrapped__'):
            continue
        runner.register_hooks = _with_model_hook(runner.register_hooks)
        runner.build_dataloader = staticmethod(
            _refusing_empty(runner.build_dataloader)
        )
        runner.build_log_processor = _smoothing_losses(
            runner.build_log_processor
        )


def _with_model_hook(register_hooks: Callable) -> Callable:

    @functools.wraps(register_hooks)
    def wrapper(self, *args, **kwargs) -> None:
        # Imported late: `import mmdistill` alone stays as quick as MMPretrain.
        from mmdistill.engine.hooks.class_names_hook import ClassNamesHook
        from mmdistill.engine.hooks.model_hook import ModelHook
        from mmdistill.engine.hooks.resumed_settings_hook import (
            ResumedSettingsHook,
        )

        register_hooks(self, *args, **kwargs)
        self.register_hook(ModelHook())
        self.register_hook(ClassNamesHook())
        self.register_hook(ResumedSettingsHook())
        if isinstance(self.log_processor, LossLogProcessor):
            self.register_hook(LossNamesHook())

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
