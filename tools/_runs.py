"""Training runs as processes of their own, and what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from mmdistill.utils.progress import clock

ROOT = Path(__file__).resolve().parents[1]


def train(config: Path, folder: Path, options: Sequence[str]) -> float:
    """Run ``tools/train.py`` on a config; returns its seconds.

    Args:
        config: path of the config.
        folder: its work folder; what it prints goes to ``output.log`` there.
        options: for ``--cfg-options``.
    Raises:
        SystemExit: if the run fails, after printing the end of its log.
    """
    command = [
        sys.executable,
        str(ROOT / 'tools' / 'train.py'),
        str(config),
        '--work-dir',
        str(folder),
        '--cfg-options',
        *options,
    ]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'output.log'
    start = time.perf_counter()
    with log.open('w') as output:
        code = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT
        ).returncode
    if code:
        print(''.join(log.read_text().splitlines(True)[-30:]))
        sys.exit(f'{folder} failed; the whole log is {log}')
    return time.perf_counter() - start


def history(folder: Path, metric: str) -> list[tuple[int, float]]:
    """(step, value) of a metric in the latest run of a work folder."""
    latest = max(folder.glob('*/vis_data/scalars.json'))
    records = map(json.loads, latest.read_text().splitlines())
    return [(r['step'], r[metric]) for r in records if metric in r]


class Pace:
    """Says which run of how many begins or has ended, and what is left.

    Runs may be made at the same time, by several threads.

    Args:
        total: runs to be made.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._begun: list[float] = []
        self._ended = 0
        self._lock = threading.Lock()

    def begin(self, what: str) -> int:
        """Say that a run begins; returns its number, from 1."""
        with self._lock:
            self._begun.append(time.perf_counter())
            number = len(self._begun)
            print(f'run {number} of {self.total}: {what} …', flush=True)
            return number

    def end(self, number: int, what: str) -> None:
        """Say that a run has ended, and for how long the rest will go on."""
        with self._lock:
            self._ended += 1
            now = time.perf_counter()
            seconds = now - self._begun[number - 1]
            mean = (now - self._begun[0]) / self._ended
            left = self.total - self._ended
            rest = f', about {clock(mean * left)} to go' if left else ''
            print(
                f'run {number} of {self.total}: {what} took '
                f'{clock(seconds)}{rest}',
                flush=True,
            )
