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


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command
    from mmdistill.engine.training import train

    run_command(train, args)


if __name__ == '__main__':
    main()
