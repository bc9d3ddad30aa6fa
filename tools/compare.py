"""Compare training configs over several seeds: mean, deviation, gain.

Every run is an ordinary ``tools/train.py`` in its own process and folder,
``WORK_DIR/<config>/seed<seed>``. A run that has ended is not run again, so a
comparison that was stopped goes on, and configs and seeds can be added.

Beside each run lies ``comparison.json``: its settings with base files, options
and seed, the SHA-256 of every file that they name (a teacher's), the version
of mmdistill. If a run had other settings than are asked for now, nothing is
trained and the changed keys are listed; with ``--rerun`` such runs are trained
again, and their old folders are kept under another name.

The first config is the baseline: gains are over it, seed by seed. Results are
in ``WORK_DIR/runs.csv`` and ``WORK_DIR/summary.csv``.
"""

import argparse
import csv
import hashlib
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from _runs import history, train
from mmengine.config import DictAction

import mmdistill
from mmdistill.engine.settings import check_keys, differences, flat
from mmdistill.utils.config_reading import read_config

RECORD = 'comparison.json'


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
    parser.add_argument(
        '--rerun',
        action='store_true',
        help='train runs again whose settings are not those asked for; their '
        'old folders are kept under another name',
    )
    args = parser.parse_args()
    names = [config.stem for config in args.configs]
    if len(set(names)) < len(names):
        parser.error(f'two configs have one file name: {sorted(names)}')
    if len(set(args.seeds)) < len(args.seeds):
        parser.error(f'a seed is given twice: {args.seeds}')
    return args


def read(config: Path, seed: int, args: argparse.Namespace) -> dict:
    """A run's settings as ``tools/train.py`` will have them.

    Raises:
        SystemExit: if there is no such config, or a setting is none.
    """
    if not config.is_file():
        raise SystemExit(
            f'the config {str(config)!r} is not a file; nothing was trained'
        )
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    options = [f'randomness.seed={seed}', *args.cfg_options]
    given = parser.parse_args(['--options', *options]).options
    cfg = read_config(config, import_custom_modules=False)
    cfg.merge_from_dict(given)
    try:
        check_keys(cfg, f'the config {str(config)!r}')
    except KeyError as error:
        raise SystemExit(f'{error.args[0]}; nothing was trained') from None
    if cfg.randomness.seed != seed:
        raise SystemExit(
            f'--cfg-options gives randomness.seed={cfg.randomness.seed} to '
            'every run; leave it out and name the seeds with --seeds'
        )
    return cfg.to_dict()


def fingerprint(settings: dict) -> dict:
    """What a run depends on: settings, files that they name, the version."""
    named = {
        key: value
        for key, value in flat(settings).items()
        if isinstance(value, str) and os.path.isfile(value)
    }
    files = {}
    for key, path in named.items():
        digest = hashlib.sha256()
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
        files[key] = digest.hexdigest()
    found = {
        'mmdistill': mmdistill.__version__,
        'settings': settings,
        'sha256 of': files,
    }
    # As it will be read back: tuples are lists there.
    return json.loads(json.dumps(found, default=repr))


def changed(folder: Path, wanted: dict) -> list[str] | None:
    """How a finished run's settings differ; None if none has finished."""
    record = folder / RECORD
    if not record.is_file():
        if not (folder / 'student.pth').is_file():
            return None
        return ['it was not trained by this comparison: no ' + RECORD]
    stored = json.loads(record.read_text())
    if not stored['finished'] or not (folder / 'student.pth').is_file():
        return None
    return [
        f'{key.removeprefix("settings.")}: {old!r} → {new!r}'
        for key, (old, new) in differences(stored['run'], wanted).items()
    ]


def require_same(
    jobs: list[tuple[Path, int]], args: argparse.Namespace
) -> None:
    """Look at every run before the first is trained.

    Raises:
        SystemExit: if finished runs had other settings; it lists them.
    """
    wrong = []
    for config, seed in jobs:
        wanted = fingerprint(read(config, seed, args))
        folder = folder_of(config, seed, args)
        for line in changed(folder, wanted) or ():
            wrong.append(f'{folder}: {line}')
    if wrong and not args.rerun:
        raise SystemExit(
            'These runs were made with other settings than are asked for now '
            '(old → new):\n  '
            + '\n  '.join(wrong)
            + '\nNothing was trained. Give another --work-dir, or --rerun to '
            'train these again.'
        )


def folder_of(config: Path, seed: int, args: argparse.Namespace) -> Path:
    return args.work_dir / config.stem / f'seed{seed}'


def run(config: Path, seed: int, args: argparse.Namespace) -> dict:
    """The last value of one run's metric, running it unless that was done."""
    folder = folder_of(config, seed, args)
    # A teacher may have been trained since all runs were looked at.
    wanted = fingerprint(read(config, seed, args))
    differs = changed(folder, wanted)
    if differs and not args.rerun:
        raise SystemExit(
            f'{folder} was made with other settings (old → new): {differs}; '
            'give another --work-dir, or --rerun to train it again'
        )
    if differs:
        folder.rename(folder.with_name(f'{folder.name}_{time.time_ns()}'))
    if differs or differs is None:
        print(f'{config.stem}, seed {seed} …', flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, wanted, finished=False)
        options = [f'randomness.seed={seed}', *args.cfg_options]
        train(config, folder, options)
        write_record(folder, wanted, finished=True)
    values = history(folder, args.metric)
    if not values:
        raise SystemExit(
            f'{folder} has no {args.metric!r}; give --metric, one of what '
            'validation reports'
        )
    return dict(config=config.stem, seed=seed, value=values[-1][1])


def write_record(folder: Path, wanted: dict, finished: bool) -> None:
    """Put a run's settings beside it, whole or not at all."""
    text = json.dumps(dict(finished=finished, run=wanted), indent=1)
    new = folder / f'{RECORD}.tmp'
    new.write_text(text)
    new.replace(folder / RECORD)


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


def main() -> None:
    args = parse_args()
    # Seed by seed, so that a comparison stopped early is still fair.
    jobs = [(c, seed) for seed, c in product(args.seeds, args.configs)]
    require_same(jobs, args)
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
            f'{row["mean"]:>8.2f} {spread(row["deviation"])}'
            f'{row["gain"]:>+10.2f} {spread(row["gain_deviation"])}'
        )
    print(f'\n{args.work_dir / "summary.csv"}, {args.work_dir / "runs.csv"}')


if __name__ == '__main__':
    main()
