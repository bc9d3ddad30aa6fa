"""KD, hint, SP, CC, VID, PKT and NST, where no golden numbers exist."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers import relative_error

from mmdistill.models.losses import (
    CCLoss,
    HintLoss,
    KDLoss,
    NSTLoss,
    PKTLoss,
    SPLoss,
    VIDLoss,
)
from mmdistill.ops import sinkhorn


def maps(*shapes):
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


# HintLoss


def test_hint_regresses_every_map_to_the_teachers_width():
    loss_module = HintLoss((4, 8), [6, 12])
    assert [tuple(p.shape) for p in loss_module.parameters()] == [
        (6, 4, 1, 1), (6,), (12, 8, 1, 1), (12,)]  # fmt: skip
    student = [torch.randn(3, 4, 8, 8), torch.randn(3, 8, 4, 4)]
    teacher = [torch.randn(3, 6, 4, 4), torch.randn(3, 12, 8, 8)]
    a, b = loss_module.regressors
    expected = (F.avg_pool2d(a(student[0]), 2) - teacher[0]).square().mean()
    pooled = F.avg_pool2d(teacher[1], 2)
    expected = expected + (b(student[1]) - pooled).square().mean()
    torch.testing.assert_close(loss_module(student, teacher), expected)


def test_hint_takes_the_second_stage_by_default():
    assert HintLoss(4, 6).maps == (2,)


def test_hint_without_regressor_needs_equal_channels():
    HintLoss((4, 8), (4, 8), regressor=False)
    with pytest.raises(ValueError, match=r'\(4, 8\).*\(4, 12\).*regressor'):
        HintLoss((4, 8), (4, 12), regressor=False)


@pytest.mark.parametrize('cls', [HintLoss, VIDLoss])
def test_channels_that_do_not_pair_up(cls):
    with pytest.raises(ValueError, match=r'\(4, 8\).*\(6,\)'):
        cls((4, 8), 6)


# SPLoss


def test_sp_by_hand():
    """Other widths and sizes, nothing pooled, summed over maps."""
    student = maps((5, 3, 4, 4), (5, 7, 2, 2))
    teacher = maps((5, 6, 2, 2), (5, 2, 2, 2))
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        rows = []
        for x in (s, t):
            gram = [[(a * b).sum() for b in x] for a in x]
            gram = torch.stack([torch.stack(row) for row in gram])
            rows.append(gram / gram.square().sum(1, keepdim=True).sqrt())
        expected += (rows[0] - rows[1]).square().sum() / 25
    torch.testing.assert_close(SPLoss()(student, teacher), expected)


# CCLoss


def embeddings(loss_module):
    """Inputs of other widths, and what the two linear maps make of them."""
    student, teacher = maps((6, 5), (6, 9))
    sides = dict(student=student, teacher=teacher)
    embedded = []
    for side, x in sides.items():
        linear = getattr(loss_module, f'embed_{side}')
        embedded.append(x @ linear.weight.t() + linear.bias)
    return student, teacher, *embedded


def test_cc_neighbour_by_hand():
    loss_module = CCLoss(5, 9, embed_dim=4).double()
    student, teacher, s, t = embeddings(loss_module)
    expected = 0.0
    for n in range(5):
        for j in range(4):
            expected += abs(s[n, j] - t[n, j]) * abs(s[n + 1, j] - t[n + 1, j])
    torch.testing.assert_close(loss_module(student, teacher), expected / 5)


@pytest.mark.parametrize('gamma, order', [(0.4, 2), (0.7, 3)])
def test_cc_kernel_by_hand(gamma, order):
    loss_module = CCLoss(
        5, 9, embed_dim=4, form='kernel', gamma=gamma, order=order
    ).double()
    student, teacher, s, t = embeddings(loss_module)

    def kernel(x, y):
        cosine = x @ y / (x.norm() * y.norm())
        terms = (
            (2 * gamma * cosine) ** p / math.factorial(p)
            for p in range(order + 1)
        )
        return math.exp(-2 * gamma) * sum(terms)

    expected = 0.0
    for i in range(6):
        for j in range(6):
            difference = kernel(s[i], s[j]) - kernel(t[i], t[j])
            expected += difference**2 / 36
    torch.testing.assert_close(loss_module(student, teacher), expected)


def test_cc_kernel_tends_to_the_gaussian():
    loss_module = CCLoss(5, 9, form='kernel', order=20).double()
    student, teacher, *embedded = embeddings(loss_module)
    kernels = []
    for x in map(F.normalize, embedded):
        kernels.append((-0.4 * torch.cdist(x, x).square()).exp())
    torch.testing.assert_close(
        loss_module(student, teacher), F.mse_loss(*kernels)
    )


@pytest.mark.parametrize('form', ['neighbour', 'kernel'])
def test_cc_trains_both_embeddings(form):
    loss_module = CCLoss(5, 9, embed_dim=4, form=form)
    loss_module(torch.randn(6, 5), torch.randn(6, 9)).backward()
    assert len(list(loss_module.parameters())) == 4
    assert all(p.grad.abs().sum() > 0 for p in loss_module.parameters())


def test_cc_needs_two_samples():
    with pytest.raises(ValueError, match='batch of 1.*drop_last'):
        CCLoss(5, 9)(torch.randn(1, 5), torch.randn(1, 9))
    assert CCLoss(5, 9)(torch.randn(2, 5), torch.randn(2, 9)).isfinite()


def test_cc_unknown_form():
    with pytest.raises(ValueError, match="'neighbour' and 'kernel'.*'rbf'"):
        CCLoss(5, 9, form='rbf')


# VIDLoss


@pytest.mark.parametrize('variance', [0.01, 5.0, 2000.0])
def test_vid_starts_at_the_given_variance(variance):
    loss_module = VIDLoss((4, 8), (6, 12), init_variance=variance).double()
    student = maps((2, 4, 4, 4), (2, 8, 2, 2))
    teacher = maps((2, 6, 8, 8), (2, 12, 2, 2))
    expected = 0.0
    for regressor, s, t in zip(
        loss_module.regressors, student, teacher, strict=True
    ):
        t = F.adaptive_avg_pool2d(t, s.shape[-2:])
        gaussian = torch.distributions.Normal(
            regressor(s), torch.tensor(variance, dtype=s.dtype).sqrt()
        )
        constant = math.log(2 * math.pi) / 2
        expected += -gaussian.log_prob(t).mean() - constant
    # log_scale was made in float32.
    assert relative_error(loss_module(student, teacher), expected) < 1e-5


def test_vid_variance_below_eps():
    with pytest.raises(ValueError, match='init_variance=1e-06.*eps=1e-05'):
        VIDLoss(4, 6, init_variance=1e-6)


# PKTLoss


def test_pkt_of_opposite_vectors():
    """Their similarity is 0, which rounding takes to either side."""
    x = torch.randn(40, 1, 300)
    x = torch.cat([x, -x], dim=1).requires_grad_()
    for pair in x:
        value = PKTLoss()(pair, torch.randn(2, 300))
        value.backward()
        assert value.isfinite()
    assert x.grad.isfinite().all()


# NSTLoss


def naive_nst(student, teacher):
    """All products of channels at once, (N, C, D, H W) numbers."""

    def kernel(a, b):
        return (a[:, :, None] * b[:, None]).sum(-1).square().mean()

    loss = 0.0
    for s, t in zip(student, teacher, strict=True):
        size = tuple(map(min, s.shape[-2:], t.shape[-2:]))
        s, t = (
            F.normalize(F.adaptive_avg_pool2d(x, size).flatten(2), dim=2)
            for x in (s, t)
        )
        loss = loss + kernel(t, t) + kernel(s, s) - 2 * kernel(s, t)
    return loss


NST_SHAPES = dict(
    # more positions than channels, and the other way round
    channels=[((3, 4, 6, 6), (3, 5, 6, 6)), ((3, 2, 4, 4), (3, 9, 4, 4))],
    positions=[((3, 8, 2, 2), (3, 12, 2, 2)), ((3, 20, 3, 3), (3, 9, 3, 3))],
    sizes=[((3, 4, 6, 6), (3, 5, 3, 3)), ((3, 16, 2, 2), (3, 12, 4, 4))],
    oblong=[((3, 4, 5, 2), (3, 6, 2, 5)), ((3, 16, 1, 3), (3, 5, 3, 3))],
)


@pytest.mark.parametrize('case', NST_SHAPES)
def test_nst_equals_the_broadcast(case):
    shapes = NST_SHAPES[case]
    student = [x.requires_grad_() for s, _ in shapes for x in maps(s)]
    teacher = [x for _, t in shapes for x in maps(t)]
    with torch.no_grad():  # channels that never fire
        student[0][:, 1] = 0
        teacher[1][1, 0] = 0
    value = NSTLoss()(student, teacher)
    grads = torch.autograd.grad(value, student)
    expected = naive_nst(student, teacher)
    expected_grads = torch.autograd.grad(expected, student)
    assert relative_error(value, expected) < 1e-12
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert relative_error(grad, expected_grad) < 1e-10


@pytest.mark.parametrize('case', NST_SHAPES)
def test_nst_gives_no_gradient_to_the_teacher(case):
    (student, teacher), _ = NST_SHAPES[case]
    student = torch.randn(student, requires_grad=True)
    teacher = torch.randn(teacher, requires_grad=True)
    NSTLoss()([student], [teacher]).backward()
    assert student.grad.abs().sum() > 0 and teacher.grad is None


def test_nst_of_equal_maps_is_zero():
    x = [torch.randn(3, 4, 6, 6), torch.randn(3, 12, 2, 2)]
    assert abs(NSTLoss()(x, x)) < 1e-6


def test_kd_with_sinkhorn_targets():
    """Table 8 of ProtoCPC: cross-entropy with Sinkhorn's assignment."""
    torch.manual_seed(0)
    student = torch.randn(6, 4).double().requires_grad_()
    teacher = torch.randn(6, 4).double()
    targets = sinkhorn(teacher, 4.0, 3)
    torch.testing.assert_close(targets.sum(1), torch.ones(6).double())
    value = KDLoss(assignment='sinkhorn')(student, teacher)
    value.backward()
    other = student.detach().clone().requires_grad_()
    cross = -(targets * F.log_softmax(other / 4, 1)).sum(1).mean()
    entropy = -(targets * targets.log()).sum(1).mean()
    (16 * cross).backward()
    torch.testing.assert_close(value, 16 * (cross - entropy))
    torch.testing.assert_close(student.grad, other.grad)


def test_kd_with_certain_targets():
    """A scaled assignment may round to 0; the loss stays finite."""
    student = torch.zeros(2, 2, requires_grad=True)
    teacher = torch.tensor([[900.0, -900.0], [-900.0, 900.0]])
    value = KDLoss(1.0, assignment='sinkhorn')(student, teacher)
    torch.testing.assert_close(value, torch.tensor(2.0).log())
    with pytest.raises(ValueError, match='sinkhorn'):
        KDLoss(assignment='argmax')


def test_hint_regressor_of_the_reference():
    """BatchNorm and ReLU follow the convolution; without one, a refusal."""
    loss_module = HintLoss(4, 6, batch_norm_relu=True)
    layers = [type(layer).__name__ for layer in loss_module.regressors[0]]
    assert layers == ['Conv2d', 'BatchNorm2d', 'ReLU']
    with pytest.raises(ValueError, match='batch_norm_relu=True.*regressor'):
        HintLoss(4, 4, regressor=False, batch_norm_relu=True)


@pytest.mark.parametrize('form', ['neighbour', 'kernel'])
@pytest.mark.parametrize('embed', ['student', 'both'])
def test_cc_alone_solves_only_the_reference_form(form, embed):
    """Its own parts, on fixed and unrelated features of both networks."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 128, 16)
    loss_module = CCLoss(16, 16, form=form, embed=embed)
    first = loss_module(student, teacher).item()
    optimizer = torch.optim.Adam(loss_module.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = loss_module(student, teacher)
        loss.backward()
        optimizer.step()
    if embed == 'both':
        assert loss < 0.01 * first
    elif form == 'kernel':
        assert loss > 0.1 * first
    else:  # no smaller than the best linear guess leaves: no constant
        spread = torch.nn.functional.normalize(teacher).abs()
        assert loss > 0.3 * (spread[:-1] * spread[1:]).sum(1).mean()


def test_cc_knows_which_sides_are_embedded():
    with pytest.raises(ValueError, match="embed='both' and 'student'"):
        CCLoss(4, 4, embed='teacher')
