"""What losses are given: maps, scores, rows of peers."""

import torch
import torch.nn.functional as F
from helpers import relative_error

from mmdistill.models.losses import SEEDLoss


def scores(seed: int, rows: int = 12, scale: float = 1.0) -> torch.Tensor:
    """Like cosine similarities of 6 prototypes when scale is 1."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, dtype=torch.float64, generator=generator)
    return scale * x.tanh()


def maps(*shapes):
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


N, CLASSES, DIM, SHARED = 6, 5, 16, 7


def leaves(num_peers, width=CLASSES):
    return [
        torch.randn(N, width, dtype=torch.float64).requires_grad_()
        for _ in range(num_peers)
    ]


def kl(target, learner, temperature):
    """T^2 / N sum_n sum_c p log(p / q) of two batches of logits."""
    p = (target / temperature).softmax(1)
    q = (learner / temperature).softmax(1)
    return temperature**2 * (p * (p / q).log()).sum() / len(p)


def assert_equal(value, expected, inputs):
    """Values and gradients; an input without a gradient counts as zero."""
    torch.testing.assert_close(value, expected)
    found, wanted = (
        torch.autograd.grad(v, inputs, allow_unused=True)
        for v in (value, expected)
    )
    for x, one, other in zip(inputs, found, wanted, strict=True):
        zero = torch.zeros_like(x)
        torch.testing.assert_close(
            zero if one is None else one, zero if other is None else other
        )


def rows(seed: int, number: int = 5, dim: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, dim, dtype=torch.float64, generator=generator)


def unit(seed: int, number: int, dim: int = 7) -> torch.Tensor:
    return F.normalize(rows(seed, number, dim))


def filled(loss, **queues):
    """A loss whose queues hold these rows, in their precision."""
    for name, queue in queues.items():
        loss.to(queue.dtype).get_submodule(name).enqueue(queue)
    return loss


def seed(queue, **kwargs) -> SEEDLoss:
    return filled(SEEDLoss(queue.shape[1], 40, **kwargs), queue=queue)


def check_maps(loss_module, g, bound):
    """Value and gradient of a loss of one pair of maps."""
    student = g['student_0'].requires_grad_()
    loss = loss_module([student], [g['teacher_0']])
    loss.backward()
    assert relative_error(loss, g['loss']) < bound
    assert relative_error(student.grad, g['grad_student_0']) < bound
