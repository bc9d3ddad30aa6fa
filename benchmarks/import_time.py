"""Seconds to import mmpretrain and mmdistill, in turns, in fresh processes."""

import statistics
import subprocess
import sys
from functools import partial

from _measuring import in_turns

REPEATS = 5


def fresh_import(name: str) -> None:
    command = [sys.executable, '-W', 'ignore', '-c', f'import {name}']
    subprocess.run(command, check=True, capture_output=True)


def main():
    # The round that is left out fills the disk cache.
    seconds = in_turns(
        {
            name: partial(fresh_import, name)
            for name in ('mmpretrain', 'mmdistill')
        },
        REPEATS,
    )
    best = {name: min(s) for name, s in seconds.items()}
    for name, measured in seconds.items():
        middle = statistics.median(measured)
        print(f'{name:<12} best {best[name]:.2f} s, median {middle:.2f} s')
    print(f'ratio of the best: {best["mmdistill"] / best["mmpretrain"]:.2f}')


if __name__ == '__main__':
    main()
