"""Train a model from a config: ``python tools/train.py CONFIG [options]``."""

import argparse

from _arguments import shared_arguments


def parse_args():
    parser = argparse.ArgumentParser(
        description='Train a model', parents=[shared_arguments()]
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a value, from the latest '
        'one in the work folder, or from the start if there is none',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision; needs a GPU',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the real batch size over '
        'auto_scale_lr.base_batch_size of the config',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='switch off persistent_workers in all dataloaders',
    )
    return parser.parse_args()


def merge_args(cfg, args):
    """Lay the flags of training over the config, and check them."""
    from mmengine.device import get_device

    from mmdistill.engine.config_files import require_file
    from mmdistill.engine.doctor import require_sound
    from mmdistill.engine.run_config import set_dataloader_defaults

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


def go_on_from(cfg, checkpoint):
    """Resume from a file; without one begin from the config's weights."""
    cfg.resume = checkpoint is not None
    if checkpoint is not None:
        cfg.load_from = checkpoint


def run(args):
    from mmdistill.engine.launch import launched
    from mmdistill.engine.lock import sole_run
    from mmdistill.engine.resume import latest_checkpoint
    from mmdistill.engine.run_config import build_runner, load_config

    cfg = load_config(args)
    merge_args(cfg, args)
    with launched(cfg), sole_run(cfg.work_dir):
        if args.resume == 'auto':
            go_on_from(cfg, latest_checkpoint(cfg.work_dir))
        build_runner(cfg).train()


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
