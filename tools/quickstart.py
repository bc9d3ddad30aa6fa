"""Train a teacher, a student alone and distilled students on digits.

Every run is an ordinary ``tools/train.py`` of a config in
``configs/quickstart``. Afterwards the final test accuracies stand in a table,
in ``summary.csv`` and, over the steps, in ``curves.png``.
"""

import argparse
import csv
from pathlib import Path

from _runs import ROOT, history, train

BASELINE = 'student alone'
RUNS = {
    'teacher': 'teacher',
    BASELINE: 'student',
    'KD': 'kd',
    'ProtoCPC': 'protocpc',
    'CRD+KD': 'crd_kd',
}
METRIC = 'accuracy/top1'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/quickstart'),
        help='where runs, table and picture go',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        help='settings of every run, as in tools/train.py',
    )
    return parser.parse_args()


def run(name: str, folder: Path, args: argparse.Namespace) -> float:
    """Train one config of the quick start; returns its seconds."""
    options = [f'randomness.seed={args.seed}', *args.cfg_options]
    if name not in ('teacher', 'student'):
        teacher = args.work_dir / 'teacher' / 'student.pth'
        options.append(f'model.teacher_ckpt={teacher}')
        # First, so that default_hooks.report=None of the user still counts.
        alone = args.work_dir / 'student'
        options.insert(0, f'default_hooks.report.baseline={alone}')
    config = ROOT / 'configs' / 'quickstart' / f'{name}_digits.py'
    return train(config, folder, options)


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout='constrained')
    for method, points in curves.items():
        style = '--' if method in ('teacher', BASELINE) else '-'
        axes.plot(*zip(*points, strict=True), style, marker='.', label=method)
    axes.set(xlabel='step', ylabel='test accuracy, %', ylim=(50, 100))
    axes.set_title('8x8 digits: 898 images, the student sees 100 labels')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    args = parse_args()
    rows, curves = [], {}
    for method, name in RUNS.items():
        print(f'training {method} …', flush=True)
        folder = args.work_dir / name
        seconds = run(name, folder, args)
        curves[method] = history(folder, METRIC)
        rows.append([method, curves[method][-1][1], seconds])

    alone = next(row[1] for row in rows if row[0] == BASELINE)
    summary = args.work_dir / 'summary.csv'
    with summary.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['method', 'accuracy', 'gain', 'seconds'])
        for method, accuracy, seconds in rows:
            writer.writerow(
                [
                    method,
                    f'{accuracy:.2f}',
                    f'{accuracy - alone:.2f}',
                    f'{seconds:.1f}',
                ]
            )
    draw(curves, args.work_dir / 'curves.png')

    print(f'\n{"method":<15}{"accuracy %":>11}{"gain":>8}{"seconds":>9}')
    for method, accuracy, seconds in rows:
        gain = '' if method == 'teacher' else f'{accuracy - alone:+.2f}'
        print(f'{method:<15}{accuracy:>11.2f}{gain:>8}{seconds:>9.0f}')
    print(
        '\nThe teacher learns from all 898 training images with their labels. '
        'Every student\nhas the labels of 100 of them; a distilled one also '
        "sees the teacher's answers for\nthe other 798. Gains are over the "
        'student alone, one seed, final step.'
        f'\n\ntable: {summary}\ncurves: {args.work_dir / "curves.png"}'
        f'\nreports: {args.work_dir / "*" / "report.html"}'
    )


if __name__ == '__main__':
    main()
