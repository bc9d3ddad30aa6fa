"""The console command: ``mmdistill distill``, ``train``, ``predict``, ...

Nothing heavy is imported before a command is known, so that help is quick.
"""

from __future__ import annotations

import argparse
import ast
import os
import runpy
import sys
from collections.abc import Sequence
from typing import Any

from mmdistill.utils.shipped import shipped_folder
from mmdistill.version import __version__

#: Commands that are scripts of ``tools``, with what they do.
SCRIPTS = dict(
    train=('train.py', 'train from a config'),
    test=('test.py', 'test a checkpoint with its config'),
    compare=('compare.py', 'run configs over seeds: means and gains'),
    export=('export_student.py', 'write a student for other tools'),
    predict=('predict.py', 'what a student says of images'),
    embed=('embed.py', 'features of images in a file'),
    doctor=('doctor.py', "find a config's mistakes before training"),
    report=('report.py', 'an HTML report of a finished run'),
)
#: Commands that stand here.
OWN = dict(
    distill='train a student on a folder of images, in one command',
    list='names of models, methods, losses, formats and other parts',
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        argv: its name and arguments; those of the process when None.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ('-h', '--help'):
        print(help_text())
        return
    if argv[0] == '--version':
        print(f'mmdistill {__version__}')
        return
    name, *rest = argv
    if name == 'distill':
        distill(rest)
    elif name == 'list':
        show_names(rest)
    elif name in SCRIPTS:
        run_script(name, rest)
    else:
        raise SystemExit(_unknown(name))


def help_text() -> str:
    """What ``mmdistill --help`` prints."""
    about = {**OWN, **{name: what for name, (_, what) in SCRIPTS.items()}}
    lines = [f'  {name:<10}{what}' for name, what in about.items()]
    return '\n'.join(
        [
            'usage: mmdistill COMMAND ... (mmdistill COMMAND --help)',
            '',
            'Train small vision models from the representations of larger '
            'ones.',
            '',
            *lines,
            '',
            '  mmdistill distill photos --student timm/resnet18 \\',
            '      --teacher timm/resnet50 --train-teacher --out runs/kd',
            '  mmdistill predict runs/kd/student_best.pth photo.jpg',
        ]
    )


def _unknown(name: str) -> str:
    import difflib

    known = [*OWN, *SCRIPTS]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    return (
        f'mmdistill has no command {name!r}{hint} (it has {", ".join(known)})'
    )


def run_script(name: str, argv: Sequence[str]) -> None:
    """Run a script of ``tools`` as if it had been started itself.

    Raises:
        SystemExit: if the installation does not have it.
    """
    folder = shipped_folder('tools')
    path = folder / SCRIPTS[name][0]
    if not path.is_file():
        raise SystemExit(
            f'mmdistill {name} needs {path}, which this version of mmdistill '
            'does not have'
        )
    before = sys.argv, list(sys.path)
    sys.argv = [str(path), *argv]
    sys.path.insert(0, str(folder))  # scripts import modules beside them
    try:
        runpy.run_path(str(path), run_name='__main__')
    finally:
        sys.argv, sys.path[:] = before


# distill --------------------------------------------------------------------
def distill(argv: Sequence[str]) -> None:
    """Parse the arguments of ``mmdistill distill`` and run it."""
    args = _distill_parser().parse_args(argv)
    options = dict(_option(text) for text in args.options)
    settings = vars(args)
    names = 'student', 'teacher'
    models = {key: _model(settings.pop(key)) for key in names}
    debug = settings.pop('debug')
    from mmdistill.api import distill as train
    from mmdistill.engine.command import run_command

    result = run_command(
        lambda _: train(**{**settings, 'options': options}, **models),
        argparse.Namespace(debug=debug),
    )
    print(f'student: {result.student}')
    if result.accuracy is not None:
        print(f'accuracy: {result.accuracy:.2f} %')
    for name in ('exported', 'report', 'config'):
        if getattr(result, name) is not None:
            print(f'{name}: {getattr(result, name)}')


def _distill_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'mmdistill distill',
        description=OWN['distill'],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='A model is LIBRARY/NAME (mmdistill list models), a '
        "checkpoint file, or\n\"dict(type='timm/resnet18', "
        'pretrained=True)".',
    )
    add = parser.add_argument
    add('data', help='class folders, train and val folders, images or a list')
    add('--student', required=True, metavar='MODEL')
    add('--teacher', metavar='MODEL')
    add('--method', default='kd', help='default: kd; mmdistill list methods')
    add('--out', metavar='DIR', help='default: work_dirs/<data>_<method>')
    add('--resume', action='store_true', help='go on with the run in --out')
    add(
        '--train-teacher',
        action='store_true',
        help='train the teacher on the data first',
    )
    add('--export', metavar='FORMAT', help='such as onnx')
    add(
        '--no-labels',
        dest='labels',
        action='store_const',
        const=False,
        help='folders are no classes',
    )
    add('--val', metavar='DATA', help='validation images, as the data')
    add(
        '--val-share',
        type=float,
        default=0.2,
        help='part of each class to validate with, without --val',
    )
    add('--seed', type=int, default=0)
    add(
        '--no-flip',
        dest='flip',
        action='store_false',
        help='do not mirror images: left and right matter',
    )
    for name, kind in _NUMBERS.items():
        add(f'--{name.replace("_", "-")}', type=kind, help=_CHOSEN)
    add(
        '--cfg-options',
        dest='options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='settings of the config, such as model.losses.kd.temperature=2',
    )
    add('--debug', action='store_true', help='show tracebacks')
    return parser


_CHOSEN = 'default: chosen from the data, and printed'
_NUMBERS: dict[str, type] = dict(
    size=int, batch_size=int, epochs=int, lr=float, workers=int
)


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition('=')
    if not equals:
        raise SystemExit(f'--cfg-options {text!r} should be KEY=VALUE')
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _model(text: str | None) -> str | dict | None:
    """A model's name; or its config, written as ``dict(type=..., ...)``."""
    if text is None or not text.startswith('dict('):
        return text
    try:
        call = ast.parse(text, mode='eval').body
        return {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise SystemExit(
            f'{text!r} should be a name, or dict(type=NAME, KEY=VALUE, ...) '
            'of plain values'
        ) from None


# list -----------------------------------------------------------------------
def show_names(argv: Sequence[str]) -> None:
    """Print the names that ``mmdistill list`` is asked for."""
    from mmdistill.engine.listing import KINDS, names_of

    parser = argparse.ArgumentParser('mmdistill list', description=OWN['list'])
    parser.add_argument('kind', choices=KINDS)
    parser.add_argument(
        'pattern', nargs='?', default='*', help="such as 'timm/vit_tiny*'"
    )
    args = parser.parse_args(argv)
    names = names_of(args.kind, args.pattern)
    if not names:
        raise SystemExit(
            f'no {args.kind} are named {args.pattern!r}; try a pattern with '
            "wildcards, such as '*resnet18*'"
        )
    try:
        print('\n'.join(names))
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == '__main__':
    main()
