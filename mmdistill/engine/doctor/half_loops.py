"""Loops that lack one of the settings they need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmdistill.engine.doctor.finding import Finding

#: What MMEngine wants to have together, or not at all.
_TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def half_loops(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Settings without which others have no effect, and dataloaders' data."""
    for names in _TOGETHER:
        given = [name for name in names if cfg.get(name) is not None]
        lacking = [name for name in names if name not in given]
        if given and lacking:
            are = 'is' if len(given) == 1 else 'are'
            what = ' and '.join(lacking)
            yield Finding(
                lacking[0],
                f'{what} {"is" if len(lacking) == 1 else "are"} not set, but '
                f'{" and ".join(given)} {are}: set all of {", ".join(names)}, '
                f'or {"=".join(given)}=None',
            )
    if cfg.get('param_scheduler') and not cfg.get('optim_wrapper'):
        yield Finding(
            'param_scheduler',
            'there is no optim_wrapper whose rate it could change; set '
            'optim_wrapper, or param_scheduler=None',
        )
    for key, *_ in _TOGETHER:
        if isinstance(cfg.get(key), Mapping):
            yield from _half_loader(key, cfg[key])


def _half_loader(key: str, loader: Mapping[str, Any]) -> Iterator[Finding]:
    if not loader.get('dataset'):
        yield Finding(
            f'{key}.dataset',
            'it has no dataset; set dataset=dict(type=..., pipeline=...)',
        )
    if not loader.get('batch_size') and not loader.get('batch_sampler'):
        yield Finding(f'{key}.batch_size', 'it is not set; set batch_size=...')
    if not loader.get('sampler') and not loader.get('batch_sampler'):
        shuffle = key.startswith('train')
        yield Finding(
            f'{key}.sampler',
            "it is not set; set sampler=dict(type='DefaultSampler', "
            f'shuffle={shuffle})',
        )
