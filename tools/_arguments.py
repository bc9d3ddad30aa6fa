"""Flags that train.py and test.py share; imports nothing heavy."""

import argparse

from mmengine.config import DictAction


def debug_argument() -> argparse.ArgumentParser:
    """A parent for every tool's parser."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        '--debug',
        action='store_true',
        help='show the traceback of an error, not its message alone; so does '
        'MMDISTILL_DEBUG=1 in the environment',
    )
    return parser


def shared_arguments() -> argparse.ArgumentParser:
    """A parent for the tools' parsers."""
    parser = argparse.ArgumentParser(
        add_help=False, parents=[debug_argument()]
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help="folder for logs, metrics and checkpoints; default: the config's "
        'work_dir, else ./work_dirs/<name of the config>',
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='switch off pin_memory in all dataloaders (without a GPU it is '
        'off anyway)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config before anything else looks at '
        'it, as key=value; lists as key="[a,b]" or key=a,b, nested ones as '
        'key="[(a,b),(c,d)]", with the quotation marks and without spaces',
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load checkpoint files even if they hold Python objects beyond '
        'the safe ones. Such a file can run any code: only for files of your '
        'own',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='set by torch.distributed.launch',
    )
    return parser
