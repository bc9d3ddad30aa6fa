"""Flags that predict.py and embed.py share; imports nothing heavy."""

import argparse
import os
import sys

from _arguments import debug_argument


def picture_arguments() -> argparse.ArgumentParser:
    """A parent for the tools' parsers."""
    parser = argparse.ArgumentParser(
        add_help=False, parents=[debug_argument()]
    )
    parser.add_argument(
        'student',
        help='student.pth, student_best.pth or a full checkpoint',
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='INPUT',
        help='picture files, folders of them at any depth, or patterns in '
        'quotation marks',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=32,
        metavar='N',
        help='pictures that go through the network at once; default: 32',
    )
    parser.add_argument(
        '--device',
        default='cpu',
        help='such as cuda or cuda:1; default: cpu',
    )
    parser.add_argument(
        '--config',
        metavar='FILE',
        help='config of the training; default: the one in the file',
    )
    parser.add_argument(
        '--skip-errors',
        action='store_true',
        help='go on where a picture cannot be read, and say so',
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load STUDENT even if it holds Python objects beyond the safe '
        'ones, and import what its config names. Such a file can run any '
        'code: only for files of your own',
    )
    return parser


def trusting(args: argparse.Namespace) -> None:
    """Trust the file if told to; its imports may lie in this folder."""
    from mmdistill.checkpoints import trust_checkpoints

    sys.path.append(os.getcwd())
    trust_checkpoints(args.trust_checkpoints)
