"""The console command ``mmdistill``; ``python -m mmdistill`` is the same."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

#: Subcommands that are scripts of tools/.
TOOLS = dict(
    train='train a config',
    test='test a checkpoint of a config',
    compare='run several configs over several seeds, and compare them',
    export='write a student as ONNX, for torchvision, timm, ...',
    predict='what a student says of pictures',
    embed='features of a folder of pictures, in a file',
    doctor='look for mistakes in a config, and say what it will cost',
    report='a page about a finished run',
)
_SCRIPTS = dict(export='export_student')
_KINDS = ('models', 'methods', 'losses', 'formats')


def parser() -> argparse.ArgumentParser:
    """The command line, of which the tools' own part is left to them."""
    parser = argparse.ArgumentParser(
        prog='mmdistill',
        description='Train small vision models from the representations of '
        'larger ones.',
        epilog='`mmdistill COMMAND --help` says more.',
    )
    parser.add_argument('--version', action='store_true', help='say it')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    _add_distill(commands)
    for name, about in TOOLS.items():
        one = commands.add_parser(name, help=about, add_help=False)
        one.add_argument('rest', nargs=argparse.REMAINDER)
    listing = commands.add_parser(
        'list', help='names of models, methods, losses, formats'
    )
    listing.add_argument('kind', choices=_KINDS, nargs='?', default='models')
    listing.add_argument(
        'pattern',
        nargs='?',
        default='*',
        help="with wildcards, in quotation marks: 'timm/vit_tiny*'",
    )
    return parser


def _add_distill(commands: argparse._SubParsersAction) -> None:
    about = 'train a student on a folder of images, taught by a teacher'
    one = commands.add_parser('distill', help=about, description=about)
    one.add_argument(
        'data',
        help='class folders (train/ and val/, or the classes alone), a list '
        "of lines 'path label', or a folder of unlabeled images",
    )
    one.add_argument(
        '--student', required=True, help='such as timm/resnet18, or a file'
    )
    one.add_argument(
        '--teacher', help='such as timm/resnet50, or the file of a student'
    )
    one.add_argument(
        '--method',
        default='kd',
        help="one of `mmdistill list methods`; 'task' is the student alone",
    )
    one.add_argument('--out', required=True, help='folder of the run')
    one.add_argument('--val', help='validation images, if elsewhere')
    one.add_argument(
        '--teacher-ckpt', metavar='FILE', help="of the teacher's weights"
    )
    one.add_argument(
        '--pretrained',
        action='store_true',
        help='start the student from its published weights',
    )
    one.add_argument('--size', type=int, help='height and width of images')
    one.add_argument('--epochs', type=int)
    one.add_argument('--batch-size', type=int)
    one.add_argument('--lr', type=float)
    one.add_argument('--workers', type=int, help='that load images')
    one.add_argument('--seed', type=int, default=0)
    one.add_argument(
        '--export', metavar='FORMAT', help='also write onnx or torch-export'
    )
    one.add_argument(
        '--resume', action='store_true', help='go on with the run in --out'
    )
    one.add_argument(
        '--options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='other settings, such as model.losses.kd.temperature=2',
    )
    one.add_argument(
        '--debug', action='store_true', help='errors with their traceback'
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with 1 after an error, whose last line says it.

    Args:
        arguments: of the command line; the process's when None.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] in TOOLS:
        _run_tool(arguments[0], arguments[1:])
        return
    args = parser().parse_args(arguments)
    if args.version:
        from mmdistill.version import __version__

        print(f'mmdistill {__version__}')
    elif args.command is None:
        parser().print_help()
    else:
        from mmdistill.engine.command import run_command

        run = _distill if args.command == 'distill' else _list
        args.line = shlex.join(['mmdistill', *arguments])
        run_command(run, args)


def _run_tool(name: str, arguments: Sequence[str]) -> None:
    from mmdistill.engine.tool_runs import tool

    with tool(_SCRIPTS.get(name, name), arguments) as script:
        script['main']()


def _distill(args: argparse.Namespace) -> None:
    from mmengine.config import DictAction

    from mmdistill.api import distill

    options = argparse.ArgumentParser()
    options.add_argument('--options', nargs='*', action=DictAction)
    given = options.parse_args(['--options', *args.options]).options
    result = distill(
        args.data,
        args.student,
        args.teacher,
        args.method,
        args.out,
        val=args.val,
        teacher_ckpt=args.teacher_ckpt,
        pretrained=args.pretrained,
        size=args.size,
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        workers=args.workers,
        seed=args.seed,
        options=given,
        resume=args.resume,
        export=args.export,
        command=args.line,
    )
    if result.accuracy is not None:
        text = f'student: {result.accuracy:.2f} %'
        if result.teacher_accuracy is not None:
            text += f'; teacher: {result.teacher_accuracy:.2f} %'
        print(text)
    for what in ('student', 'best', 'exported', 'report'):
        if (path := getattr(result, what)) is not None:
            print(f'{what}: {path}')


def _list(args: argparse.Namespace) -> None:
    import fnmatch

    if args.kind == 'models':
        from mmdistill.api import list_models

        names = list_models(args.pattern)
    else:
        from mmdistill.utils import register_all_modules

        register_all_modules()
        names = fnmatch.filter(_names(args.kind), args.pattern)
    print('\n'.join(names) or f'nothing is called {args.pattern!r}')


def _names(kind: str) -> list[str]:
    if kind == 'methods':
        from mmdistill.engine.own_methods import list_methods

        return list_methods()
    if kind == 'formats':
        from mmdistill.export.formats import all_formats

        return sorted(all_formats())
    from mmdistill.models import losses

    return [name for name in losses.__all__ if name.endswith('Loss')]


if __name__ == '__main__':
    main()
