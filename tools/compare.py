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
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from pathlib import Path

from _arguments import debug_argument
from _comparison_tables import show_tables
from _runs import Pace, history, train
from mmengine.config import Config, DictAction

import mmdistill
from mmdistill.engine.command import run_command
from mmdistill.engine.config_files import read_config
from mmdistill.engine.doctor import diagnose
from mmdistill.engine.settings import differences, flat
from mmdistill.utils import register_all_modules
from mmdistill.utils.progress import is_terminal, progress_bar

RECORD = 'comparison.json'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        parents=[debug_argument()],
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
        SystemExit: if the options give a seed.
    """
    cfg = load(config, seed, args)
    if cfg.randomness.seed != seed:
        raise failure(
            f'--cfg-options gives randomness.seed={cfg.randomness.seed} to '
            'every run; leave it out and name the seeds with --seeds'
        )
    return cfg.to_dict()


def load(
    config: Path, seed: int, args: argparse.Namespace, imports: bool = False
) -> Config:
    """A config with the options of a run; its modules imported, or not."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    options = [f'randomness.seed={seed}', *args.cfg_options]
    given = parser.parse_args(['--options', *options]).options
    cfg = read_config(config, import_custom_modules=imports)
    cfg.merge_from_dict(given)
    return cfg


def require_sound(args: argparse.Namespace) -> None:
    """Look at every config before anything is trained.

    Raises:
        SystemExit: if one is missing or has mistakes; it lists those of all.
    """
    sys.path.append(os.getcwd())  # as for custom_imports of a training
    register_all_modules()
    wrong = []
    for config in args.configs:
        try:
            cfg = load(config, args.seeds[0], args, imports=True)
        except FileNotFoundError as error:
            wrong.append(str(error))
            continue
        wrong += [
            f'{config}: {finding}'
            for finding in diagnose(cfg)
            # A run of this comparison may write what a later one reads.
            if finding.is_error and str(args.work_dir) not in finding.text
        ]
    if wrong:
        raise failure('nothing was trained\nerror: ' + '\nerror: '.join(wrong))


def failure(text: str) -> SystemExit:
    """What ends the command with a message and code 1."""
    return SystemExit(f'error: {text}')


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
) -> int:
    """Look at every run before the first is trained.

    Returns:
        how many runs are to be made.
    Raises:
        SystemExit: if finished runs had other settings; it lists them.
    """
    wrong, missing = [], 0
    for config, seed in jobs:
        wanted = fingerprint(read(config, seed, args))
        folder = folder_of(config, seed, args)
        lines = changed(folder, wanted)
        missing += lines != []
        wrong += [f'{folder}: {line}' for line in lines or ()]
    if wrong and not args.rerun:
        raise failure(
            'These runs were made with other settings than are asked for now '
            '(old → new):\n  '
            + '\n  '.join(wrong)
            + '\nNothing was trained. Give another --work-dir, or --rerun to '
            'train these again.'
        )
    return missing


def folder_of(config: Path, seed: int, args: argparse.Namespace) -> Path:
    return args.work_dir / config.stem / f'seed{seed}'


def run(config: Path, seed: int, args: argparse.Namespace, pace: Pace) -> dict:
    """The last value of one run's metric, running it unless that was done."""
    folder = folder_of(config, seed, args)
    # A teacher may have been trained since all runs were looked at.
    wanted = fingerprint(read(config, seed, args))
    differs = changed(folder, wanted)
    if differs and not args.rerun:
        raise failure(
            f'{folder} was made with other settings (old → new): {differs}; '
            'give another --work-dir, or --rerun to train it again'
        )
    if differs:
        folder.rename(folder.with_name(f'{folder.name}_{time.time_ns()}'))
    if differs or differs is None:
        what = f'{config.stem}, seed {seed}'
        number = pace.begin(what)
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, wanted, finished=False)
        options = [f'randomness.seed={seed}', *args.cfg_options]
        train(config, folder, options)
        write_record(folder, wanted, finished=True)
        pace.end(number, what)
    values = history(folder, args.metric)
    if not values:
        raise failure(
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


def runs_bar(total: int) -> AbstractContextManager:
    """A bar on a terminal; elsewhere what `Pace` says is enough."""
    if is_terminal():
        return progress_bar('runs', total)
    return nullcontext(lambda steps: None)


def run_all(args: argparse.Namespace) -> None:
    """Train what is not there yet, and write and print the tables."""
    require_sound(args)
    # Seed by seed, so that a comparison stopped early is still fair.
    jobs = [(c, seed) for seed, c in product(args.seeds, args.configs)]
    pace = Pace(require_same(jobs, args))
    with (
        ThreadPoolExecutor(args.jobs) as pool,
        runs_bar(len(jobs)) as advance,
    ):
        try:
            rows = []
            for row in pool.map(lambda job: run(*job, args, pace), jobs):
                rows.append(row)
                advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    show_tables(rows, args)


def main() -> None:
    run_command(run_all, parse_args())


if __name__ == '__main__':
    main()
