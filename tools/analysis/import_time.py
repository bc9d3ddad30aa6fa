"""Seconds to import mmpretrain and mmdistill, in turns, in fresh processes."""

import statistics
import subprocess
import sys
import time

REPEATS = 5


def main():
    seconds = dict(mmpretrain=[], mmdistill=[])
    for repeat in range(REPEATS + 1):  # the first one warms the disk cache
        for name, measured in seconds.items():
            command = [sys.executable, '-W', 'ignore', '-c', f'import {name}']
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if repeat:
                measured.append(time.perf_counter() - start)
    best = {name: min(s) for name, s in seconds.items()}
    for name, measured in seconds.items():
        middle = statistics.median(measured)
        print(f'{name:<12} best {best[name]:.2f} s, median {middle:.2f} s')
    print(f'ratio of the best: {best["mmdistill"] / best["mmpretrain"]:.2f}')


if __name__ == '__main__':
    main()
