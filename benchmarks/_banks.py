"""What the benchmarks of losses with banks share.

Noise-contrastive estimation against banks in the published way: negatives are
drawn with numpy on the host, sample by sample, and (N, K + 1, D) features are
gathered. And the table that compares it with a loss of ours.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable

from _measuring import in_turns

WAYS = ('ours', 'published')


def parser_of_banks(description: str, feature_dim: int, repeats: int):
    """Options that every loss with banks has."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in dict(
        batch_size=64,
        negatives=16384,
        samples=50000,
        classes=100,
        dim=128,
        feature_dim=feature_dim,
        repeats=repeats,
        threads=2,
    ).items():
        option = '--' + name.replace('_', '-')
        parser.add_argument(option, type=int, default=default)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--memory-of', choices=WAYS, help=argparse.SUPPRESS)
    return parser


class PublishedBanks:
    """Banks of their own, read and written as the published code does.

    Args:
        banks: ours, of which the features are copied.
        labels: the class of every sample, (samples,).
        args: what `parser_of_banks` parsed.
        temperature: divisor of the scores.
    """

    def __init__(self, banks: Iterable, labels, args, temperature: float):
        import numpy as np

        self.banks = [bank.features.clone() for bank in banks]
        self.args, self.temperature = args, temperature
        self.others = [
            np.flatnonzero(labels.numpy() != c) for c in range(args.classes)
        ]

    def draw(self, index, label):
        """Rows of a batch and their negatives, (N, K + 1)."""
        import numpy as np
        import torch

        drawn = [
            np.random.choice(
                self.others[c], self.args.negatives, replace=False
            )
            for c in label.tolist()
        ]
        drawn = torch.from_numpy(np.stack(drawn)).to(index.device)
        return torch.cat([index[:, None], drawn], dim=1)

    def direction(self, bank, anchors, rows):
        """The loss of anchors (N, D) against rows of a bank."""
        import torch

        args = self.args
        features = bank.index_select(0, rows.flatten())
        features = features.view(*rows.shape, args.dim)
        scores = torch.bmm(features, anchors[:, :, None]).squeeze(2)
        p = scores.div(self.temperature).exp()
        p = p / (p.detach().mean() * args.samples)
        noise = args.negatives / args.samples
        data = (p[:, 0] / (p[:, 0] + noise + 1e-7)).log()
        other = (noise / (p[:, 1:] + noise + 1e-7)).log().sum(1)
        return -(data + other).mean()

    def update(self, index, embedded) -> None:
        """Write the batch's embeddings, one (N, D) a bank."""
        import torch

        with torch.no_grad():
            for bank, v in zip(self.banks, embedded, strict=True):
                row = bank.index_select(0, index).mul_(0.5).add_(0.5 * v)
                bank.index_copy_(0, index, row / row.norm(dim=1, keepdim=True))


def print_peak_memory(step: Callable, device: str) -> None:
    """Print by how much one warm-up and three steps raise the peak, in MB.

    It is the process's or, on a GPU, the allocator's.
    """
    import torch

    def host():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10

    if device == 'cpu':
        before, peak = host(), host
    else:
        before = torch.cuda.memory_allocated()
        peak = torch.cuda.max_memory_allocated
    for _ in range(4):
        step()
    print((peak() - before) / 2**20)


def compare(make_steps: Callable, args: argparse.Namespace) -> None:
    """Print time and memory of both ways.

    ``make_steps(args)`` returns them as functions of no argument, by name.
    """
    if args.memory_of:
        step = make_steps(args)[args.memory_of]
        return print_peak_memory(step, args.device)
    # First: a process starts with the peak of the one that starts it.
    memory = {}
    for name in WAYS:
        command = [sys.executable, *sys.argv, '--memory-of', name]
        memory[name] = float(subprocess.check_output(command))
    seconds = in_turns(make_steps(args), args.repeats, args.device)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    print(f'{"":<12}{"ms a step":>12}{"peak MB":>10}')
    for name in WAYS:
        print(f'{name:<12}{1000 * median[name]:>12.1f}{memory[name]:>10.0f}')
    ratio = median['published'] / median['ours']
    print(f'published / ours: {ratio:.1f} x')
