"""Time and memory of a CRD or GCKT step, ours and the published way.

A step draws negatives, takes the loss, runs backward and updates the banks.
The published way draws with numpy on the host, sample by sample, and gathers
(N, K + 1, D) features of both banks; ours is ``CRDLoss`` or ``GCKTLoss``.
Both are measured in one run.
"""

from _banks import PublishedBanks, compare, parser_of_banks


def parse_args():
    parser = parser_of_banks(__doc__, feature_dim=256, repeats=5)
    parser.add_argument(
        '--loss', choices=['CRDLoss', 'GCKTLoss'], default='CRDLoss'
    )
    return parser.parse_args()


def make_steps(args):
    """Both ways as functions of no argument, on the same data."""
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
    banks = loss.bank_student, loss.bank_teacher
    for bank in banks:
        bank.resize_to(args.samples, labels)
    loss.to(args.device)
    student = torch.randn(args.batch_size, args.feature_dim)
    teacher = torch.randn(args.batch_size, args.feature_dim)
    index = torch.randperm(args.samples)[: args.batch_size]
    label = labels[index]
    student, teacher, index, label = (
        x.to(args.device) for x in (student, teacher, index, label)
    )

    def ours():
        x = student.clone().requires_grad_()
        value = loss(x, teacher, index, label)
        value.backward()
        return value

    theirs = PublishedBanks(banks, labels, args, loss.temperature)

    def published():
        rows = theirs.draw(index, label)
        x = student.clone().requires_grad_()
        embedded = loss.embed_student(x), loss.embed_teacher(teacher)
        value = sum(
            theirs.direction(bank, anchors, rows)
            for bank, anchors in zip(theirs.banks[::-1], embedded, strict=True)
        )
        value.backward()
        theirs.update(index, embedded)
        return value

    return dict(ours=ours, published=published)


if __name__ == '__main__':
    compare(make_steps, parse_args())
