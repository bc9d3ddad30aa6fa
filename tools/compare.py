"""Compare training configs over several seeds: mean, deviation, gain.

Every run is an ordinary ``tools/train.py`` in its own process and folder,
``WORK_DIR/<config>/seed<seed>``. A run that has ended is not run again, so a
comparison that was stopped goes on, and configs and seeds can be added. The
first config is the baseline: gains are over it, seed by seed. Results are in
``WORK_DIR/runs.csv`` and ``WORK_DIR/summary.csv``.
"""

import argparse
import csv
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from _runs import history, train


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        'configs', nargs='+', type=Path, help='the baseline first'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--metric', default='accuracy/top1')
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at the same time'
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/compare')
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        help='settings of every run, as in tools/train.py',
    )
    args = parser.parse_args()
    names = [config.stem for config in args.configs]
    if len(set(names)) < len(names):
        parser.error(f'two configs have one file name: {sorted(names)}')
    if len(set(args.seeds)) < len(args.seeds):
        parser.error(f'a seed is given twice: {args.seeds}')
    return args


def run(config: Path, seed: int, args: argparse.Namespace) -> dict:
    """The last value of one run's metric, running it unless that was done."""
    folder = args.work_dir / config.stem / f'seed{seed}'
    if not (folder / 'student.pth').is_file():
        print(f'{config.stem}, seed {seed} …', flush=True)
        options = [f'randomness.seed={seed}', *args.cfg_options]
        train(config, folder, options)
    values = history(folder, args.metric)
    if not values:
        raise SystemExit(
            f'{folder} has no {args.metric!r}; give --metric, one of what '
            'validation reports'
        )
    return dict(config=config.stem, seed=seed, value=values[-1][1])


def summarise(rows: list[dict], args: argparse.Namespace) -> list[dict]:
    """Mean and sample deviation of every config and of its gains."""
    value = {(row['config'], row['seed']): row['value'] for row in rows}
    baseline = args.configs[0].stem
    summary = []
    for config in args.configs:
        values = [value[config.stem, seed] for seed in args.seeds]
        gains = [
            v - value[baseline, s]
            for v, s in zip(values, args.seeds, strict=True)
        ]
        summary.append(
            dict(
                config=config.stem,
                runs=len(values),
                mean=statistics.mean(values),
                deviation=deviation(values),
                gain=statistics.mean(gains),
                gain_deviation=deviation(gains),
            )
        )
    return summary


def deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float('nan')


def write(rows: list[dict], path: Path) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    args = parse_args()
    # Seed by seed, so that a comparison stopped early is still fair.
    jobs = [(c, seed) for seed, c in product(args.seeds, args.configs)]
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            rows = list(pool.map(lambda job: run(*job, args), jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    summary = summarise(rows, args)
    write(rows, args.work_dir / 'runs.csv')
    write(summary, args.work_dir / 'summary.csv')
    width = max(len(row['config']) for row in summary) + 2
    print(f'\n{"config":<{width}}{args.metric:>15}{"gain":>17}')
    for row in summary:
        print(
            f'{row["config"]:<{width}}'
            f'{row["mean"]:>8.2f} ±{row["deviation"]:>5.2f}'
            f'{row["gain"]:>+10.2f} ±{row["gain_deviation"]:>5.2f}'
        )
    print(f'\n{args.work_dir / "summary.csv"}, {args.work_dir / "runs.csv"}')


if __name__ == '__main__':
    main()
