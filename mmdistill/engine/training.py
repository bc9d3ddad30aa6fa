"""Train from a config as ``tools/train.py`` does, with its flags."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from mmdistill.engine.config_files import require_file
from mmdistill.engine.doctor import require_sound
from mmdistill.engine.launch import launched
from mmdistill.engine.lock import sole_run
from mmdistill.engine.resume import latest_checkpoint
from mmdistill.engine.run_config import (
    build_runner,
    load_config,
    set_dataloader_defaults,
)


def train_arguments(config: str, **flags: Any) -> Namespace:
    """What ``tools/train.py CONFIG`` has parsed, for a call from Python.

    Args:
        config: path of the config.
        flags: those of the command, by their names with underscores.
    """
    defaults = dict(
        work_dir=None,
        no_pin_memory=False,
        cfg_options=None,
        trust_checkpoints=False,
        launcher='none',
        local_rank=0,
        resume=None,
        amp=False,
        no_validate=False,
        auto_scale_lr=False,
        no_persistent_workers=False,
    )
    return Namespace(config=config, **{**defaults, **flags})


def train(args: Namespace) -> None:
    """Train; see ``tools/train.py --help`` for the arguments."""
    cfg = load_config(args)
    merge_args(cfg, args)
    with launched(cfg), sole_run(cfg.work_dir):
        if args.resume == 'auto':
            go_on_from(cfg, latest_checkpoint(cfg.work_dir))
        build_runner(cfg).train()


def merge_args(cfg: Config, args: Namespace) -> None:
    """Lay the flags of training over the config, and check them."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    require_sound(cfg, f'the config {args.config!r}')
    if cfg.get('train_cfg') is None:
        raise ValueError(
            f'the config {args.config!r} trains nothing, as it has no '
            'train_cfg; test with it, by tools/test.py, or set '
            'train_dataloader, train_cfg and optim_wrapper'
        )

    if args.resume not in (None, 'auto'):
        require_file(args.resume, 'the checkpoint to --resume from')
        go_on_from(cfg, args.resume)

    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if cfg.optim_wrapper.get('type') == 'AmpOptimWrapper' and get_device() in (
        'cpu',
        'mps',
    ):
        raise ValueError(
            'AMP needs a GPU, and torch finds none here; leave --amp out, or '
            "set optim_wrapper.type='OptimWrapper' if the config asks for it"
        )

    if args.auto_scale_lr:
        if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
            raise ValueError(
                f'--auto-scale-lr was given, but {args.config} does not say '
                'for which batch size its learning rate is meant; add '
                'auto_scale_lr=dict(base_batch_size=...) or leave the flag '
                'out'
            )
        cfg.auto_scale_lr.enable = True

    set_dataloader_defaults(
        cfg, not args.no_pin_memory, not args.no_persistent_workers
    )


def go_on_from(cfg: Config, checkpoint: str | None) -> None:
    """Resume from a file; without one begin from the config's weights."""
    cfg.resume = checkpoint is not None
    if checkpoint is not None:
        cfg.load_from = checkpoint
