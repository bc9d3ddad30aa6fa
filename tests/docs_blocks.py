"""The code blocks of the docs, and how they are run.

A block may have a mark in the line before it:

    <!-- needs: a, b -->     what it needs; it is run where all of that is here
    <!-- file: my_loss.py -->    it is written to a file, for what follows

and a page ``<!-- all need: hours -->``. Other blocks of Python and of the
shell are run in the order of the page, in one folder that looks like the root
of the repository, with one namespace.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
#: What blocks may need, and whether it is here.
HERE = {
    'command': True,  # mmdistill and mmdistill.distill(), but for
    'answers': True,  # mmdistill predict and embed, mmdistill.load()
    'network': False,
    'data': False,
    'GPUs': False,
    'Slurm': False,
    'hours': False,
    'minutes': False,  # others run the same
    'installation': False,
    'repository': False,  # of a page that shows files of it
}
#: Steps that a training of the docs has in the tests.
STEPS = 4
_BLOCK = re.compile(
    r'^(?:<!-- (needs|file): ([^>]+) -->\n)?'
    r'```(python|shell|bash)\n(.*?)^```$',
    re.M | re.S,
)
_CELL = re.compile(r'^```\{code-cell\} python\n(.*?)^```$', re.M | re.S)

#: Stands for ``tools/train.py``: the same with few steps, and no report.
_SHORT = """
import runpy, sys
short = ['train_cfg.max_iters={steps}', 'train_cfg.val_interval={steps}',
         'default_hooks.logger.interval=1']
if {by_epoch}:
    short = ['train_cfg.max_epochs=1']
short.append('default_hooks.report=None')
if '--cfg-options' in sys.argv:
    at = sys.argv.index('--cfg-options') + 1
    sys.argv[at:at] = short
else:
    sys.argv += ['--cfg-options', *short]
sys.argv[0] = {script!r}
sys.path[0] = {folder!r}
runpy.run_path({script!r}, run_name='__main__')
"""

#: Stands for ``mmdistill``: the same with one epoch of small images.
_SHORT_COMMAND = """
if [ "$1" = distill ]; then
    set -- "$@" --epochs 1 --size 32 --workers 0 \\
        --cfg-options default_hooks.report=None
fi
exec {python} -m mmdistill "$@"
"""


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, and what its mark says."""

    language: str
    text: str
    needs: tuple[str, ...] = ()
    file: str | None = None

    @property
    def runs(self) -> bool:
        return all(HERE[need] for need in self.needs)


def pages() -> list[Path]:
    """Pages that people write: not those that the site makes."""
    made = {'_build', '_ext', 'methods', 'reference', 'notebooks'}
    return [
        path
        for path in sorted(DOCS.rglob('*.md'))
        if not made & set(path.relative_to(DOCS).parts)
    ]


def notebooks() -> list[Path]:
    return sorted((DOCS / 'notebooks').glob('*.md'))


def blocks(page: Path) -> list[Block]:
    """A page's blocks of Python and of the shell, in order."""
    text = page.read_text('utf-8')
    common = tuple(re.findall(r'^<!-- all need: (\w+) -->$', text, re.M))
    found = []
    for mark, value, language, code in _BLOCK.findall(text):
        needs = tuple(value.split(', ')) if mark == 'needs' else ()
        file = value if mark == 'file' else None
        found.append(Block(language, code, common + needs, file))
    return found


def cells(notebook: Path) -> list[str]:
    return _CELL.findall(notebook.read_text('utf-8'))


def prepare(folder: Path, by_epoch: bool = False) -> None:
    """Make a folder look like the root of the repository."""
    for name in ('configs', 'examples'):
        (folder / name).symlink_to(ROOT / name)
    tools = folder / 'tools'
    tools.mkdir()
    for path in (ROOT / 'tools').iterdir():
        if path.name != 'train.py':
            (tools / path.name).symlink_to(path)
    script = str(ROOT / 'tools' / 'train.py')
    (tools / 'train.py').write_text(
        _SHORT.format(
            script=script,
            folder=str(ROOT / 'tools'),
            steps=STEPS,
            by_epoch=by_epoch,
        )
    )


def run_shell(code: str, folder: Path) -> str:
    """Run lines of a shell as a user would; returns what they print."""
    command = folder / 'bin'
    command.mkdir(exist_ok=True)
    for name, line in (
        ('python', f'exec {sys.executable} "$@"'),
        ('mmdistill', _SHORT_COMMAND.format(python=sys.executable)),
    ):
        (command / name).write_text(f'#!/bin/sh\n{line}\n')
        (command / name).chmod(0o755)
    done = subprocess.run(
        ['bash', '-e', '-c', code],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ
        | dict(
            PATH=f'{command}{os.pathsep}{os.environ["PATH"]}',
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS='1',
        ),
    )
    assert done.returncode == 0, f'{code}\n{done.stdout}{done.stderr}'
    return done.stdout
