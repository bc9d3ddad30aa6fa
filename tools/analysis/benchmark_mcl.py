"""Time and memory of an MCL step, ours and the published way.

A step draws negatives, takes the loss over all pairs of peers, runs backward
and updates the banks. The published way draws with numpy on the host, sample
by sample, and gathers (N, K + 1, D) features for each of the M (M - 1)
directions; ours is ``MCLLoss``. Both are measured in one run. Memory is what
the process, or on a GPU the allocator, takes beyond the banks.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--peers', type=int, default=4)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--negatives', type=int, default=16384)
    parser.add_argument('--samples', type=int, default=50000)
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument('--dim', type=int, default=128)
    parser.add_argument('--feature-dim', type=int, default=64)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--memory-of', choices=['ours', 'published'])
    return parser.parse_args()


def make_steps(args):
    """Both ways as functions of no argument, on the same data."""
    import numpy as np
    import torch

    from mmdistill.models.losses import MCLLoss

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    labels = torch.arange(args.samples) % args.classes
    loss = MCLLoss(
        args.peers,
        args.feature_dim,
        embed_dim=args.dim,
        num_negatives=args.negatives,
    )
    for bank in loss.banks:
        bank.resize_to(args.samples, labels)
    loss.to(args.device)
    features = torch.randn(
        args.peers, args.batch_size, args.feature_dim, device=args.device
    )
    index = torch.randperm(args.samples)[: args.batch_size].to(args.device)
    label = labels.to(args.device)[index]

    def ours():
        inputs = features.clone().requires_grad_()
        loss(list(inputs), index, label).backward()

    others = [np.flatnonzero(labels.numpy() != c) for c in range(args.classes)]
    banks = [bank.features.clone() for bank in loss.banks]

    def direction(bank, view, wanted):
        rows = bank.index_select(0, wanted.flatten())
        rows = rows.view(*wanted.shape, args.dim)
        scores = torch.bmm(rows, view[:, :, None]).squeeze(2)
        p = scores.div(loss.temperature).exp()
        p = p / (p.detach().mean() * args.samples)
        noise = args.negatives / args.samples
        data = (p[:, 0] / (p[:, 0] + noise + 1e-7)).log()
        other = (noise / (p[:, 1:] + noise + 1e-7)).log().sum(1)
        return -(data + other).mean()

    def published():
        drawn = [
            np.random.choice(others[c], args.negatives, replace=False)
            for c in label.tolist()
        ]
        drawn = torch.from_numpy(np.stack(drawn)).to(args.device)
        wanted = torch.cat([index[:, None], drawn], dim=1)
        inputs = features.clone().requires_grad_()
        views = [
            embed(x) for embed, x in zip(loss.embeds, inputs, strict=True)
        ]
        value = sum(
            direction(bank, view, wanted)
            for a, bank in enumerate(banks)
            for b, view in enumerate(views)
            if a != b
        )
        value.backward()
        with torch.no_grad():
            for bank, v in zip(banks, views, strict=True):
                row = bank.index_select(0, index).mul_(0.5).add_(0.5 * v)
                bank.index_copy_(0, index, row / row.norm(dim=1, keepdim=True))

    return dict(ours=ours, published=published)


def synchronize(args) -> None:
    import torch

    if args.device != 'cpu':
        torch.cuda.synchronize()


def peak_memory(args) -> None:
    """Print by how much one warm-up and three steps raise the peak, in MB."""
    step = make_steps(args)[args.memory_of]
    if args.device != 'cpu':
        import torch

        before = torch.cuda.memory_allocated()
        for _ in range(4):
            step()
        after = torch.cuda.max_memory_allocated()
        print((after - before) / 2**20)
        return
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
            synchronize(args)
            start = time.perf_counter()
            step()
            synchronize(args)
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
