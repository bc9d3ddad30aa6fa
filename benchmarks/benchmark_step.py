"""Time and memory of every method's step, over the networks' own time.

The floor of a method is what no implementation can do without: the teacher's
forward pass, the student's forward and backward pass with the task loss, the
passes of slow copies, and forward and backward of the method's own trained
layers (embeddings, regressors, heads). The step is the floor and everything
else: losses, memories, negatives. Data loading and the optimizer are in
neither. Writes a CSV file and a bar chart beside the printed table.
"""

import argparse
import copy
import csv
import statistics
from pathlib import Path

from _measuring import in_turns, peak_of

ROOT = Path(__file__).resolve().parents[1]
METHODS = (
    'kd fitnet at sp cc vid rkd pkt ab ft fsp nst crd crd_kd wcord wcord_kd '
    'cocord cocord_kd protocpc protocpc_crd'
).split()


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--pair', default='resnet32x4_resnet8x4')
    parser.add_argument('--methods', nargs='+', default=METHODS)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--samples', type=int, default=50000)
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/step'))
    return parser.parse_args()


def build(method, args):
    """A method's distiller, ready to train, from its CIFAR-100 config."""
    import torch
    from mmengine.config import Config

    from mmdistill.models.losses.distill_loss import Phase
    from mmdistill.registry import MODELS

    folders = (ROOT / 'configs').glob(f'*/{method}_{args.pair}_cifar100.py')
    cfg = Config.fromfile(next(folders))
    cfg.model.teacher_ckpt = None
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = MODELS.build(cfg.model).to(args.device).train()
    model.set_training_set(args.samples, torch.arange(args.samples) % 100)
    phases = {p for loss in model.losses.values() for p in loss.phases}
    model.set_phase(Phase.WARMUP if phases == {Phase.WARMUP} else Phase.MAIN)
    return model


def make_batch(model, args):
    import torch
    from mmpretrain.structures import DataSample

    torch.manual_seed(0)
    views = [
        torch.randn(args.batch_size, 3, 32, 32, device=args.device)
        for _ in range(2 if hasattr(model, 'symmetric') else 1)
    ]
    samples = []
    for i in range(args.batch_size):
        sample = DataSample().set_gt_label(i % 100).to(args.device)
        sample.set_metainfo(dict(sample_idx=i * 3))
        samples.append(sample)
    return views, samples


def own_layers(model, step):
    """Leaf layers outside the student that learn, with what they receive."""
    from torch import nn

    layers = (
        nn.Linear,
        nn.modules.conv._ConvNd,
        nn.modules.batchnorm._NormBase,
    )
    seen, handles = [], []
    skip = tuple(
        name for name in ('student.', 'slow_student.', 'slow_head.',
                          'teacher_head.')
    )  # fmt: skip
    for name, module in model.named_modules():
        learns = any(p.requires_grad for p in module.parameters(recurse=False))
        if learns and isinstance(module, layers) and not name.startswith(skip):
            handles.append(
                module.register_forward_pre_hook(
                    lambda m, x: seen.append((m, x[0].detach().clone()))
                )
            )
    step()
    for handle in handles:
        handle.remove()
    return seen


def make_parts(model, views, samples):
    """What is timed: the whole step and the parts of its floor."""
    import torch

    from mmdistill.models import RepresentationReader

    joined = (
        torch.cat(views) if getattr(model, 'symmetric', False) else (views[0])
    )
    fields = model.batch_fields(samples, joined.device)
    count = len(fields['label'])
    # Without the heads of a method, which are layers of its own.
    read_student = RepresentationReader(model.student)
    if 'slow_student' in model.targets:
        read_slow = RepresentationReader(model.slow_student)

    def step():
        inputs = views if len(views) > 1 else views[0]
        losses = model.loss(inputs, samples)
        sum(losses.values()).backward()

    def student():
        seen, *_ = read_student(joined).split(count)
        model.task_loss(seen, samples, fields).backward()

    def teacher():
        with torch.no_grad():
            model.targets['teacher'].reader(views[0])

    def slow():
        with torch.no_grad():
            read_slow(joined)

    layers = own_layers(model, step)

    def own():
        for module, x in layers:
            x = x.requires_grad_(x.is_floating_point())
            module(x).sum().backward()

    parts = dict(step=step, student=student, teacher=teacher)
    if 'slow_student' in model.targets:
        parts['slow'] = slow
    if layers:
        parts['own layers'] = own
    return parts


def measure(method, args):
    """Medians in milliseconds; parts take turns, so that noise is shared."""
    model = build(method, args)
    parts = make_parts(model, *make_batch(model, args))
    times = {
        name: [1000 * s for s in seconds]
        for name, seconds in in_turns(
            parts, args.repeats, args.device, warm_up=2
        ).items()
    }
    row = {name: statistics.median(t) for name, t in times.items()}
    floor = sum(value for name, value in row.items() if name != 'step')
    ratios = [
        step / sum(times[n][i] for n in times if n != 'step')
        for i, step in enumerate(times['step'])
    ]
    return dict(
        method=method,
        teacher=row['teacher'],
        student=row['student'],
        slow=row.get('slow', 0.0),
        own_layers=row.get('own layers', 0.0),
        floor=floor,
        step=row['step'],
        ratio=statistics.median(ratios),
        peak_mb=peak_of(parts['step'], args.device) / 2**20,
    )


def draw(rows, path):
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        figsize=(7, 0.35 * len(rows) + 1.2), layout='constrained'
    )
    names = [row['method'] for row in rows]
    left = [0.0] * len(rows)
    for part in ('teacher', 'student', 'slow', 'own_layers'):
        values = [row[part] for row in rows]
        axes.barh(names, values, left=left, label=part.replace('_', ' '))
        left = [a + b for a, b in zip(left, values, strict=True)]
    rest = [max(0, r['step'] - x) for r, x in zip(rows, left, strict=True)]
    axes.barh(names, rest, left=left, label='everything else', color='0.7')
    axes.set_xlabel('ms a step')
    axes.invert_yaxis()
    axes.legend()
    figure.savefig(path, dpi=120)


def main():
    args = parse_args()
    import torch

    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.set_num_threads(args.threads)
    rows = []
    print(f'{"method":<14}{"floor ms":>10}{"own ms":>8}{"step ms":>9}'
          f'{"ratio":>7}{"peak MB":>9}')  # fmt: skip
    for method in args.methods:
        row = measure(method, copy.copy(args))
        rows.append(row)
        print(
            f'{method:<14}{row["floor"]:>10.1f}{row["own_layers"]:>8.1f}'
            f'{row["step"]:>9.1f}{row["ratio"]:>7.2f}{row["peak_mb"]:>9.0f}',
            flush=True,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    name = f'{args.pair}_{args.device}'.replace(':', '')
    with (args.out / f'{name}.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, args.out / f'{name}.png')
    print(f'\n{args.out / name}.csv and .png')


if __name__ == '__main__':
    main()
