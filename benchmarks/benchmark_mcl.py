"""Time and memory of an MCL step, ours and the published way.

A step draws negatives, takes the loss over all pairs of peers, runs backward
and updates the banks. The published way draws with numpy on the host, sample
by sample, and gathers (N, K + 1, D) features for each of the M (M - 1)
directions; ours is ``MCLLoss``. Both are measured in one run. Memory is what
the process, or on a GPU the allocator, takes beyond the banks.
"""

from itertools import permutations

from _banks import PublishedBanks, compare, parser_of_banks


def parse_args():
    parser = parser_of_banks(__doc__, feature_dim=64, repeats=3)
    parser.add_argument('--peers', type=int, default=4)
    return parser.parse_args()


def make_steps(args):
    """Both ways as functions of no argument, on the same data."""
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
        value = loss(list(inputs), index, label)
        value.backward()
        return value

    theirs = PublishedBanks(loss.banks, labels, args, loss.temperature)

    def published():
        rows = theirs.draw(index, label)
        inputs = features.clone().requires_grad_()
        views = [
            embed(x) for embed, x in zip(loss.embeds, inputs, strict=True)
        ]
        value = sum(
            theirs.direction(theirs.banks[a], views[b], rows)
            for a, b in permutations(range(args.peers), 2)
        )
        value.backward()
        theirs.update(index, views)
        return value

    return dict(ours=ours, published=published)


if __name__ == '__main__':
    compare(make_steps, parse_args())
