"""Time and extra memory of a ProtoCPC step over crops, on the CPU or a GPU.

Extra memory is what the loss and its backward pass need beside the scores and
their gradients, in units of one (batch, prototypes) float32 matrix.
"""

import argparse
import statistics

from _measuring import peak_of, seconds_of


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--batch-size', type=int, default=512)
    parser.add_argument('--prototypes', type=int, default=65536)
    parser.add_argument('--global-crops', type=int, default=2)
    parser.add_argument('--local-crops', type=int, default=6)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=2)
    return parser.parse_args()


def main():
    args = parse_args()
    import torch

    from mmdistill.models.losses import ProtoCPCLoss

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    shape = args.batch_size, args.prototypes
    crops = args.global_crops + args.local_crops

    def scores():
        """As cosines of random vectors of width 256 are spread."""
        return torch.randn(shape, device=args.device) / 16

    student = [scores().requires_grad_() for _ in range(crops)]
    teacher = [scores() for _ in range(args.global_crops)]
    loss = ProtoCPCLoss(args.prototypes).to(args.device)

    def step():
        for view in student:
            view.grad = None
        loss(student, teacher).backward()

    step()
    for view in student:
        view.grad = None
    matrix = 4 * shape[0] * shape[1]
    extra = peak_of(step, args.device) / matrix - crops
    seconds = [seconds_of(step, args.device) for _ in range(args.repeats)]
    print(
        f'{crops} crops of {shape}: {1000 * statistics.median(seconds):.1f} '
        f'ms, {extra:.2f} matrices of {matrix / 2**20:.0f} MB beside the '
        'scores and their gradients'
    )


if __name__ == '__main__':
    main()
