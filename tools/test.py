"""Test a model: ``python tools/test.py CONFIG CHECKPOINT [options]``.

CONFIG is the training config; CHECKPOINT is one of the training's checkpoints
or an exported student. The teacher's file is not needed, unless a frozen
teacher is what is tested (``--cfg-options test_cfg.part=teacher``, by k-NN).
"""

import argparse
from copy import deepcopy

from _arguments import shared_arguments

METRICS_SUFFIXES = ('.json', '.yaml', '.yml', '.pkl', '.pickle')


def parse_args():
    parser = argparse.ArgumentParser(
        description='Test a model', parents=[shared_arguments()]
    )
    parser.add_argument(
        'checkpoint', help='checkpoint file of the model or of its student'
    )
    parser.add_argument('--out', help='file for the results')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out gets: the metrics, or (default) the predictions',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='automatic mixed precision; bfloat16 without a GPU',
    )
    parser.add_argument(
        '--show-dir', help='folder for pictures of the predictions'
    )
    parser.add_argument(
        '--show', action='store_true', help='show the predictions in a window'
    )
    parser.add_argument(
        '--interval', type=int, default=1, help='draw every so many samples'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        help='seconds that a window stays',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test-time augmentation by the config's tta_pipeline and "
        'tta_model; without them, the mean over an image and its mirror '
        'image, for classifiers',
    )
    return parser.parse_args()


def check_out(args):
    """Find a useless ``--out`` before the test instead of after it."""
    if args.out is None:
        if args.out_item is not None:
            raise ValueError('--out-item needs a file to write: give --out')
        return
    suffixes = METRICS_SUFFIXES
    if args.out_item != 'metrics':
        suffixes = ('.pkl', '.pickle')
    if not args.out.endswith(suffixes):
        raise ValueError(
            f'--out {args.out!r} should end in {" or ".join(suffixes)} for '
            f'--out-item {args.out_item or "pred"}'
        )


def merge_args(cfg, args):
    """Lay the flags of testing over the config."""
    from mmdistill.engine.config_files import require_file
    from mmdistill.engine.doctor import require_sound
    from mmdistill.engine.run_config import (
        leave_out_teachers,
        set_dataloader_defaults,
    )

    require_file(args.checkpoint, 'the checkpoint')
    cfg.load_from = args.checkpoint
    cfg.resume = False
    tested = cfg.get('test_cfg') or {}
    if 'part' in tested and tested.get('type', 'TestLoop') == 'TestLoop':
        raise ValueError(
            f'test_cfg.part={tested.part!r} says whose features k-NN reads, '
            f'but {args.config!r} tests predictions; leave it out, or set '
            "test_cfg=dict(type='KNNTestLoop', bank_dataloader=..., part=...)"
        )
    require_sound(cfg, f'the config {args.config!r}', part='test')
    leave_out_teachers(cfg.model, keep=tested.get('part'))

    if args.amp:
        cfg.test_cfg.fp16 = True

    if args.show or args.show_dir is not None:
        drawing = (cfg.get('default_hooks') or {}).get('visualization')
        if drawing is None:
            raise ValueError(
                '--show and --show-dir need default_hooks.visualization='
                "dict(type='VisualizationHook') in the config, or "
                "dict(type='DenseVisualizationHook') for a detector or "
                'segmentor'
            )
        drawing.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )

    if args.tta:
        use_tta(cfg)

    set_dataloader_defaults(cfg, not args.no_pin_memory)


def use_tta(cfg):
    """Wrap the model and the test pipeline for test-time augmentation."""
    from mmengine.config import ConfigDict

    from mmdistill.models.dense.dense_model import DenseModel
    from mmdistill.registry import MODELS

    if 'tta_model' not in cfg:
        kind = MODELS.get(cfg.model.type)
        if kind is not None and issubclass(kind, DenseModel):
            raise ValueError(
                '--tta averages the class scores of whole images, which '
                f'{cfg.model.type} does not give; test it without --tta, or '
                'set tta_model and tta_pipeline in the config'
            )
        cfg.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    if 'tta_pipeline' not in cfg:
        *pipeline, pack = deepcopy(cfg.test_dataloader.dataset.pipeline)
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        cfg.tta_pipeline = [
            *pipeline,
            dict(type='TestTimeAug', transforms=[flips, [pack]]),
        ]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def test(cfg, args):
    """Run the test; the runner is gone when it returns, see `launched`."""
    import mmengine
    from mmengine.dist import is_main_process
    from mmengine.evaluator import DumpResults

    from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
    from mmdistill.engine.run_config import build_runner

    runner = build_runner(cfg)
    runner.register_hook(StrictLoadHook())
    if args.out and args.out_item != 'metrics':
        runner.test_evaluator.metrics.append(
            DumpResults(out_file_path=args.out)
        )
    metrics = runner.test()
    if args.out_item == 'metrics' and is_main_process():
        mmengine.dump(metrics, args.out)


def run(args):
    check_out(args)
    from mmdistill.engine.launch import launched
    from mmdistill.engine.run_config import load_config

    cfg = load_config(args)
    merge_args(cfg, args)
    with launched(cfg):
        test(cfg, args)


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
