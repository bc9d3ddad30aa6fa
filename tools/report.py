"""Write a report of a finished run: ``python tools/report.py WORK_DIR``.

One HTML file, which needs no other and no network: results, curves, where
student and teacher differ, features, cost, config.
"""

import argparse
import os
import sys

from _arguments import debug_argument


def parse_args():
    parser = argparse.ArgumentParser(
        description='Write a report of a finished run',
        parents=[debug_argument()],
    )
    parser.add_argument('work_dir', help='work folder of the run')
    parser.add_argument(
        '--out', help='file to write; default: WORK_DIR/report.html'
    )
    parser.add_argument(
        '--baseline',
        metavar='DIR',
        help='work folder of the student alone, to compare with',
    )
    parser.add_argument(
        '--config',
        metavar='FILE',
        help='config of the training; default: the one in WORK_DIR',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=1000,
        help='of the validation set, which the models are shown at most',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=20.0,
        help='after which they are shown no more',
    )
    parser.add_argument('--device', help='default: a GPU if there is one')
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load checkpoint files even if they hold Python objects beyond '
        'the safe ones. Such a file can run any code: only for files of your '
        'own',
    )
    return parser.parse_args()


def run(args):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    from mmdistill.checkpoints import trust_checkpoints
    from mmdistill.report import make_report

    sys.path.append(os.getcwd())  # as for custom_imports of a training
    trust_checkpoints(args.trust_checkpoints)
    path = make_report(
        args.work_dir,
        args.out,
        args.baseline,
        args.config,
        args.images,
        args.seconds,
        args.device,
    )
    print(f'wrote {path}')


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
