"""Export a student: ``python tools/export_student.py CHECKPOINT OUT --format
NAME [options]``."""

import argparse
import importlib
import os
import sys
import textwrap

from _arguments import debug_argument


class ListFormats(argparse.Action):
    """Prints every format that is registered, and exits."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, nargs=0, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None):
        register(namespace.imports)
        from mmdistill.export.formats import all_formats

        for name, kind in all_formats().items():
            options = [
                *map(flag, kind.requires),
                *(f'[{flag(option)}]' for option in kind.takes),
            ]
            print(f'{name}: {" or ".join(kind.suffixes)}', *options)
            print(textwrap.indent(textwrap.fill(kind.about, 74), '    '))
        parser.exit()


def flag(option):
    return '--' + option.replace('_', '-')


def register(imports):
    """Import what registers models and formats, plug-ins among them."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    sys.path.append(os.getcwd())  # as for custom_imports of a training
    for module in imports:
        importlib.import_module(module)


def parse_args():
    parser = argparse.ArgumentParser(
        description='Export a student to another tool',
        parents=[debug_argument()],
    )
    parser.add_argument(
        'checkpoint',
        help='full checkpoint of a distillation, exported student or '
        'classifier',
    )
    parser.add_argument('out', help='file to write')
    parser.add_argument(
        '--format',
        required=True,
        metavar='NAME',
        help='such as mmpretrain, mmdet, torchvision, timm, onnx and '
        'torch-export; see --list-formats',
    )
    parser.add_argument(
        '--list-formats',
        action=ListFormats,
        help='say what each format is and which options it takes, and exit',
    )
    parser.add_argument(
        '--import',
        dest='imports',
        action='append',
        default=[],
        metavar='MODULE',
        help='a Python module to import first, which registers a format of '
        'your own; several take several --import',
    )
    parser.add_argument(
        '--arch',
        metavar='NAME',
        help="the architecture's name in the library, such as resnet18",
    )
    parser.add_argument(
        '--config',
        metavar='FILE',
        help='config of the training; default: the one in the checkpoint',
    )
    parser.add_argument(
        '--input-size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images; default: what the config says',
    )
    parser.add_argument(
        '--opset',
        type=int,
        help="version of ONNX's operators; default: torch's choice",
    )
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='take images of 0 to 255 in RGB, as float32, and normalize '
        'them inside',
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load CHECKPOINT even if it holds Python objects beyond the '
        'safe ones, and import what its config names. Such a file can run '
        'any code: only for files of your own',
    )
    return parser.parse_args()


def run(args):
    register(args.imports)
    from mmdistill.checkpoints import trust_checkpoints
    from mmdistill.export import ExportOptions, export_student
    from mmdistill.utils.progress import waiting

    trust_checkpoints(args.trust_checkpoints)
    options = ExportOptions(
        args.arch, args.input_size, args.opset, args.with_preprocessing
    )
    with waiting(f'exporting to {args.format}'):
        said = export_student(
            args.checkpoint, args.out, args.format, options, args.config
        )
    print(f'wrote {args.out}: {said}')


def main():
    args = parse_args()
    from mmdistill.engine.command import run_command

    run_command(run, args)


if __name__ == '__main__':
    main()
