"""Time and memory of a CRD or GCKT step, ours and the published way.

A step draws negatives, takes the loss, runs backward and updates the banks.
The published way draws with numpy on the host, sample by sample, and gathers
(N, K + 1, D) features of both banks; ours is ``CRDLoss`` or ``GCKTLoss``.
Both are measured in one run.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--loss', choices=['CRDLoss', 'GCKTLoss'], default='CRDLoss'
    )
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--negatives', type=int, default=16384)
    parser.add_argument('--samples', type=int, default=50000)
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--feature-dim', type=int, default=256)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--memory-of', choices=['ours', 'published'])
    return parser.parse_args()


def make_steps(args):
    """Both ways as functions of no argument, on the same data."""
    import numpy as np
    import torch

    from mmdistill.models import losses

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    labels = torch.arange(args.samples) % args.classes
    loss = getattr(losses, args.loss)(
        student_dim=args.feature_dim,
        teacher_dim=args.feature_dim,
        embed_dim=args.dim,
        num_negatives=args.negatives,
    )
    for bank in (loss.bank_student, loss.bank_teacher):
        bank.resize_to(args.samples, labels)
    student = torch.randn(args.batch_size, args.feature_dim)
    teacher = torch.randn(args.batch_size, args.feature_dim)
    index = torch.randperm(args.samples)[: args.batch_size]

    def ours():
        x = student.clone().requires_grad_()
        loss(x, teacher, index, labels[index]).backward()

    others = [np.flatnonzero(labels.numpy() != c) for c in range(args.classes)]
    banks = [
        b.features.clone() for b in (loss.bank_student, loss.bank_teacher)
    ]

    def published():
        drawn = [
            np.random.choice(
                others[int(labels[i])], args.negatives, replace=False
            )
            for i in index
        ]
        drawn = torch.from_numpy(np.stack(drawn))
        wanted = torch.cat([index[:, None], drawn], dim=1)
        x = student.clone().requires_grad_()
        embedded = loss.embed_student(x), loss.embed_teacher(teacher)
        noise = args.negatives / args.samples
        value = 0
        for bank, anchors in zip(banks[::-1], embedded, strict=True):
            rows = bank.index_select(0, wanted.flatten())
            rows = rows.view(*wanted.shape, args.dim)
            scores = torch.bmm(rows, anchors[:, :, None]).squeeze(2)
            p = scores.div(loss.temperature).exp()
            p = p / (p.detach().mean() * args.samples)
            data = (p[:, 0] / (p[:, 0] + noise + 1e-7)).log()
            other = (noise / (p[:, 1:] + noise + 1e-7)).log().sum(1)
            value = value - (data + other).mean()
        value.backward()
        with torch.no_grad():
            for bank, v in zip(banks, embedded, strict=True):
                row = bank.index_select(0, index).mul_(0.5).add_(0.5 * v)
                bank.index_copy_(0, index, row / row.norm(dim=1, keepdim=True))

    return dict(ours=ours, published=published)


def peak_memory(args) -> None:
    """Print by how much one warm-up and three steps raise the peak, in MB."""
    step = make_steps(args)[args.memory_of]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(4):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)


def main():
    args = parse_args()
    if args.memory_of:
        return peak_memory(args)
    # First: a process starts with the peak of the one that starts it.
    memory = {}
    for name in ('ours', 'published'):
        command = [sys.executable, *sys.argv, '--memory-of', name]
        memory[name] = float(subprocess.check_output(command))
    steps = make_steps(args)
    seconds = {name: [] for name in steps}
    for repeat in range(args.repeats + 1):  # the first one warms up
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    print(f'{"":<12}{"ms a step":>12}{"peak MB":>10}')
    for name in steps:
        print(f'{name:<12}{1000 * median[name]:>12.1f}{memory[name]:>10.0f}')
    ratio = median['published'] / median['ours']
    print(f'published / ours: {ratio:.1f} x')


if __name__ == '__main__':
    main()
