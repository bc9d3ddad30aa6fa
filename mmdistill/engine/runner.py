from __future__ import annotations

import functools
from collections.abc import Callable

from mmengine.runner import FlexibleRunner, Runner
from torch.utils.data import DataLoader

# What MMEngine's BaseDataset says when it packs a list of no samples.
_NO_SAMPLES = 'need at least one array to concatenate'


def extend_runners() -> None:
    """Give every runner a `ModelHook` and a word for empty datasets.

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


def _with_model_hook(register_hooks: Callable) -> Callable:

    @functools.wraps(register_hooks)
    def wrapper(self, *args, **kwargs) -> None:
        # Imported late: `import mmdistill` alone stays as quick as MMPretrain.
        from mmdistill.engine.hooks.model_hook import ModelHook

        register_hooks(self, *args, **kwargs)
        self.register_hook(ModelHook())

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
