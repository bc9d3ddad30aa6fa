"""The tables of a comparison: every run, and a mean for each config."""

from __future__ import annotations

import argparse
import csv
import statistics
from pathlib import Path


def show_tables(rows: list[dict], args: argparse.Namespace) -> None:
    """Write ``runs.csv`` and ``summary.csv``, and print the latter.

    Args:
        rows: each run's config, seed and value.
        args: of ``tools/compare.py``.
    """
    summary = summarise(rows, args)
    write(rows, args.work_dir / 'runs.csv')
    write(summary, args.work_dir / 'summary.csv')
    width = max(len(row['config']) for row in summary) + 2
    print(f'\n{"config":<{width}}{args.metric:>15}{"gain":>17}')
    for row in summary:
        print(
            f'{row["config"]:<{width}}'
            f'{row["mean"]:>8.2f} {spread(row["deviation"])}'
            f'{row["gain"]:>+10.2f} {spread(row["gain_deviation"])}'
        )
    print(f'\n{args.work_dir / "summary.csv"}, {args.work_dir / "runs.csv"}')


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


def deviation(values: list[float]) -> float | str:
    """The sample deviation; one value has none."""
    return statistics.stdev(values) if len(values) > 1 else ''


def spread(deviation: float | str) -> str:
    return f'{"":>6}' if deviation == '' else f'±{deviation:>5.2f}'


def write(rows: list[dict], path: Path) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
