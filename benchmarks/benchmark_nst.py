"""Time of NST, ours and the published way, in one run.

Forward and backward on the maps of resnet32x4 and resnet8x4. The published
way broadcasts (N, C_s, C_t, H W) three times a stage.
"""

import argparse
import statistics

from _measuring import in_turns

SHAPES = ((64, 32), (128, 16), (256, 8))  # channels, height and width


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args()


def published(student, teacher):
    """The kernel means by broadcasting, with their self terms."""
    import torch.nn.functional as F

    def kernel(a, b):
        return (a[:, :, None] * b[:, None]).sum(-1).pow(2)

    loss = 0
    for s, t in zip(student, teacher, strict=True):
        s, t = (F.normalize(x.flatten(2), dim=2) for x in (s, t))
        loss = loss + kernel(t, t).mean() + kernel(s, s).mean()
        loss = loss - 2 * kernel(s, t).mean()
    return loss


def main():
    args = parse_args()
    import torch

    from mmdistill.models.losses import NSTLoss

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    student, teacher = (
        [torch.randn(args.batch_size, c, s, s) for c, s in SHAPES]
        for _ in range(2)
    )
    for x in student:
        x.requires_grad_()
    loss = NSTLoss()
    ways = dict(
        ours=lambda: loss(student, teacher).backward(),
        published=lambda: published(student, teacher).backward(),
    )
    seconds = in_turns(ways, args.repeats)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    for name, value in median.items():
        print(f'{name:<12}{1000 * value:>10.1f} ms')
    print(f'published / ours: {median["published"] / median["ours"]:.0f} x')


if __name__ == '__main__':
    main()
