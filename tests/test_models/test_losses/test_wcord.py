"""GCKT and LCKT against their formulas, written out."""

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny_classifier

from mmdistill.models.losses import CRDLoss, GCKTLoss, LCKTLoss
from mmdistill.registry import MODELS

SIZES = dict(student_dim=6, teacher_dim=9, embed_dim=5, num_samples=40,
             num_negatives=7)  # fmt: skip


@pytest.fixture
def batch():
    torch.manual_seed(3)
    return dict(
        student=torch.randn(4, 6, dtype=torch.float64),
        teacher=torch.randn(4, 9, dtype=torch.float64),
        sample_idx=torch.tensor([3, 8, 20, 39]),
        negatives=torch.randint(40, (4, 7)),
    )


def sides(loss, batch):
    """(u of the sample, u of its negatives, v) for both sides."""
    v_s = loss.embed_student(batch['student'])
    v_t = loss.embed_teacher(batch['teacher'])
    index, negatives = batch['sample_idx'], batch['negatives']
    for v, bank in ((v_s, loss.bank_teacher), (v_t, loss.bank_student)):
        yield bank.features[index], bank.features[negatives], v


def trained(steps=20, **kwargs):
    """A loss after large steps on features of another scale each."""
    torch.manual_seed(0)
    loss = GCKTLoss(6, 9, num_samples=40, num_negatives=7, **kwargs).double()
    optimizer = torch.optim.SGD(loss.parameters(), lr=10.0)
    for step in range(steps):
        scale = 10.0 ** (step % 5 - 2)
        optimizer.zero_grad()
        loss(
            scale * torch.randn(8, 6).double(),
            torch.randn(8, 9).double() / scale,
            torch.randperm(40)[:8],
        ).backward()
        optimizer.step()
    return loss


@pytest.mark.parametrize('form', ['nce', 'wasserstein'])
@pytest.mark.parametrize('embed_dim', [3, 128])
def test_the_critic_is_1_lipschitz_at_every_scale(form, embed_dim):
    """In each argument, as a function of the normalized feature."""
    loss = trained(form=form, embed_dim=embed_dim)
    for scale in (0.01, 0.1, 1.0, 10.0, 100.0):
        h_t = loss.embed_teacher(scale * torch.randn(50, 9).double())
        near = torch.randn(50, 6).double() * scale
        far = near + scale * torch.logspace(-4, 1, 50)[:, None].double() * (
            torch.randn(50, 6).double()
        )
        h_s = loss.embed_student(near), loss.embed_student(far)
        for embedded in (h_t, *h_s):
            assert embedded.norm(dim=1).max() <= 1 + 1e-12
        g = [(h_t[:, None] * h).sum(2) for h in h_s]
        distance = (F.normalize(near) - F.normalize(far)).norm(dim=1)
        assert ((g[0] - g[1]).abs() <= distance * (1 + 1e-9)).all()
        shorter = torch.minimum(near.norm(dim=1), far.norm(dim=1))
        raw = (near - far).norm(dim=1) / shorter
        assert ((g[0] - g[1]).abs() <= raw * (1 + 1e-9)).all()


def test_nothing_behind_the_maps_cancels_the_bound():
    """A shorter map makes smaller scores: CRD's would not change."""
    loss = GCKTLoss(6, 9, embed_dim=5, num_samples=40).double()
    x = torch.randn(4, 6).double()
    before = loss.embed_student(x)
    with torch.no_grad():
        loss.embed_student.weight[1:] *= 0.01
    after = loss.embed_student(x)
    assert (after.norm(dim=1) < before.norm(dim=1)).all()


def test_the_critic_sees_more_than_the_common_mean():
    """Which carries most of the gradient at first."""
    torch.manual_seed(0)
    loss = GCKTLoss(16, 16, 32, num_samples=64, num_negatives=32)
    teacher = torch.randn(64, 16).relu() + 1
    student = (teacher @ torch.randn(16, 16) / 4).relu() + 1
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.1, momentum=0.9)
    for step in range(100):
        index = torch.arange(64).roll(16 * step)[:16]
        optimizer.zero_grad()
        loss(student[index], teacher[index], index).backward()
        optimizer.step()
    for embed in (loss.embed_student, loss.embed_teacher):
        maps = embed(torch.eye(16))
        assert torch.linalg.svdvals(maps)[-1] > 0.5


def test_rows_of_the_banks_are_means_in_the_unit_ball():
    loss = trained(steps=3)
    for bank in (loss.bank_student, loss.bank_teacher):
        length = bank.features.norm(dim=1)
        assert (length <= 1).all()
        assert ((length > 0) & (length < 0.99)).any()


def test_the_best_critic_reaches_the_dual_in_closed_form():
    """sup over bilinear 1-Lipschitz critics: the nuclear norm of the
    difference of the joint's and the product's cross-covariance."""
    torch.manual_seed(0)
    n = 12
    loss = GCKTLoss(
        4, 4, 8, n, 1, momentum=0.0, form='wasserstein', exclude_class=False
    ).double()
    teacher = torch.randn(n, 4).double()
    student = teacher @ torch.randn(4, 4).double()
    index = torch.arange(n)
    others = torch.stack([index[index != i] for i in range(n)])
    s, t = F.normalize(student), F.normalize(teacher)
    joint = s.t() @ t / n
    product = sum(
        torch.outer(s[i], t[j]) for i in range(n) for j in others[i]
    ) / (n * (n - 1))
    expected = torch.linalg.matrix_norm(joint - product, 'nuc')
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(student, teacher, index, negatives=others)
        value.backward()
        optimizer.step()
    torch.testing.assert_close(-value / 2, expected, rtol=0.03, atol=0)
    assert -value / 2 <= expected * (1 + 1e-6)


def test_its_gradient_is_not_that_of_crd(batch):
    """On related features, after both losses' own parts have learned."""
    torch.manual_seed(0)
    sides = dict(student_dim=16, teacher_dim=16, num_samples=64)
    gradients = []
    teacher = torch.randn(64, 16).relu()
    student = (teacher @ torch.randn(16, 16) / 4).relu().requires_grad_()
    for kind in (CRDLoss, GCKTLoss):
        torch.manual_seed(1)
        loss = kind(**sides, num_negatives=32)
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            student.grad = None
            loss(student, teacher, torch.arange(64)).backward()
            optimizer.step()
        gradients.append(student.grad)
    cosine = F.cosine_similarity(*(g.flatten() for g in gradients), dim=0)
    assert cosine < 0.95


def test_wasserstein_by_hand(batch):
    loss = GCKTLoss(**SIZES, form='wasserstein').double().eval()
    expected = 0
    for positive, negative, v in sides(loss, batch):
        near = (positive * v).sum(1).mean()
        far = torch.einsum('nkd,nd->nk', negative, v).mean()
        expected -= near - far
    torch.testing.assert_close(loss(**batch), expected)


def test_nce_by_hand(batch):
    loss = GCKTLoss(**SIZES).double().eval()
    value = loss(**batch)
    expected = 0
    for z, (positive, negative, v) in zip(
        loss.normalisers, sides(loss, batch), strict=True
    ):
        scores = [
            ((positive * v).sum(1) / 0.07).exp() / z,
            (torch.einsum('nkd,nd->nk', negative, v) / 0.07).exp() / z,
        ]
        g = [s / (s + 7 / 40) for s in scores]
        expected -= (g[0].log() + (1 - g[1]).log().sum(1)).mean()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)


def test_unknown_form():
    with pytest.raises(ValueError, match='wasserstein'):
        GCKTLoss(**SIZES, form='kl')


def unit(x, center=True):
    """Directions of the rows, from their mean."""
    x = x / x.norm(dim=1, keepdim=True)
    if center:
        x = x - x.mean(0)
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize('center', [True, False])
def test_lckt_by_hand(center):
    torch.manual_seed(0)
    loss = LCKTLoss(6, 9, epsilon=0.1, iterations=4, center=center).double()
    student = torch.randn(5, 6).double().requires_grad_()
    teacher = torch.randn(5, 9).double()
    u = F.linear(student, *loss.connector.parameters())
    cost = 1 - unit(u, center) @ unit(teacher, center).t()
    kernel = (-cost.detach() / 0.1).exp()
    b = torch.ones(5).double()
    for _ in range(4):
        a = (1 / 5) / (kernel @ b)
        b = (1 / 5) / (kernel.t() @ a)
    plan = a[:, None] * kernel * b
    torch.testing.assert_close(loss.plan(cost), plan)
    expected = (plan * cost).sum()
    value = loss(student, teacher)
    torch.testing.assert_close(value, expected)
    grads = [torch.autograd.grad(x, student)[0] for x in (value, expected)]
    torch.testing.assert_close(*grads)


def test_lckt_trains_nothing_of_the_teacher_side():
    assert not list(LCKTLoss(6, 6).parameters())
    shapes = [p.shape for p in LCKTLoss(6, 9).parameters()]
    assert shapes == [(9, 6), (9,)]


def test_lckt_takes_the_critic_without_training_it():
    torch.manual_seed(0)
    critic = GCKTLoss(6, 9, num_samples=40).double()
    loss = LCKTLoss(6, 9, critic='gckt', center=True).double()
    loss.connect(torch.nn.ModuleDict({'gckt': critic, 'lckt': loss}))
    assert not list(loss.parameters()) and not loss.state_dict()
    student = torch.randn(5, 6).double().requires_grad_()
    teacher = torch.randn(5, 9).double()
    value = loss(student, teacher)
    u, v = critic.embed_student(student), critic.embed_teacher(teacher)
    cost = 1 - unit(u) @ unit(v).t()
    torch.testing.assert_close(value, (loss.plan(cost) * cost).sum())
    value.backward()
    assert student.grad.norm() > 0
    assert critic.embed_student.weight.grad is None


def test_lckt_plan_finds_the_pairs_by_the_critic():
    """Which has seen them; a map that LCKT itself trains has not."""
    torch.manual_seed(0)
    teacher = torch.randn(64, 9).relu()
    student = (teacher @ torch.randn(9, 6)).relu()
    critic = GCKTLoss(6, 9, num_samples=64, num_negatives=32)
    alone = LCKTLoss(6, 9)
    beside = LCKTLoss(6, 9, critic='gckt', center=True)
    beside.connect(torch.nn.ModuleDict({'gckt': critic, 'lckt': beside}))
    for loss, compute in (
        (critic, lambda: critic(student, teacher, torch.arange(64))),
        (alone, lambda: alone(student, teacher)),
    ):
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
        for _ in range(150):
            optimizer.zero_grad()
            compute().backward()
            optimizer.step()
    paired = [
        loss.plan(loss.cost(student, teacher)).trace()
        for loss in (alone, beside)
    ]
    assert paired[1] > 10 / 64  # 1/64 by chance
    assert paired[0] < 4 / 64


def test_lckt_sees_through_a_common_mean():
    torch.manual_seed(0)
    teacher = torch.randn(32, 6)
    student = teacher + 10 * torch.randn(6)
    paired = [
        loss.plan(loss.cost(student, teacher)).trace()
        for loss in (LCKTLoss(6, 6), LCKTLoss(6, 6, center=True))
    ]
    assert paired[0] < 0.2 < 0.6 < paired[1]


def test_lckt_finds_the_critic_in_a_distiller():
    """Whichever of the two stands first."""
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=tiny_classifier(),
            teacher=tiny_classifier(),
            losses=dict(
                lckt=dict(type='LCKTLoss', critic='gckt'),
                gckt=dict(type='GCKTLoss', num_samples=8, num_negatives=4),
            ),
            input_size=(1, 8, 8),
        )
    )
    assert not any('losses.lckt' in key for key in model.state_dict())
    student, teacher = torch.randn(2, 4, 16)
    assert model.losses['lckt'](student, teacher).isfinite()


def test_lckt_names_the_critics_there_are():
    loss = LCKTLoss(6, 9, critic='global')
    losses = torch.nn.ModuleDict({'gckt': GCKTLoss(6, 9), 'lckt': loss})
    with pytest.raises(ValueError, match=r"critic='global'.*\['gckt'\]"):
        loss.connect(losses)


@pytest.mark.parametrize('center', [True, False])
@pytest.mark.parametrize('kind', ['zero', 'identical', 'one sample'])
def test_lckt_of_degenerate_batches(kind, center):
    torch.manual_seed(0)
    loss = LCKTLoss(6, 9, center=center)
    student, teacher = torch.randn(4, 6), torch.randn(4, 9)
    if kind == 'zero':
        student, teacher = student * 0, teacher * 0
    elif kind == 'identical':
        student, teacher = (x[:1].expand(4, -1) for x in (student, teacher))
    else:
        student, teacher = student[:1], teacher[:1]
    student = student.clone().requires_grad_()
    value = loss(student, teacher)
    value.backward()
    assert value.isfinite() and 0 <= value <= 2
    assert student.grad.isfinite().all()


@pytest.mark.parametrize('form', ['nce', 'wasserstein'])
def test_gckt_of_a_queue_of_one_class(form):
    """A batch of one class has no negative of another one."""
    loss = GCKTLoss(6, 9, queue_size=8, form=form)
    for _ in range(3):
        student = torch.randn(4, 6).requires_grad_()
        value = loss(
            student,
            torch.randn(4, 9),
            torch.arange(4),
            torch.zeros(4, dtype=torch.long),
        )
        value.backward()
        assert value.isfinite() and student.grad.isfinite().all()


def test_lckt_plan_has_uniform_marginals():
    cost = torch.rand(16, 16).double() * 2
    plan = LCKTLoss(3, 3, iterations=2000).plan(cost)
    uniform = torch.full((16,), 1 / 16).double()
    torch.testing.assert_close(plan.sum(1), uniform)
    torch.testing.assert_close(plan.sum(0), uniform)


@pytest.mark.parametrize('kind', [CRDLoss, GCKTLoss])
def test_bad_input(kind, batch):
    loss = kind(**SIZES).double()
    batch['sample_idx'] = torch.tensor([3, 8, 20, 40])
    with pytest.raises(ValueError, match='between 3 and 40.*0 to 39'):
        loss(**batch)
    half = kind(**SIZES, bank_dtype='bfloat16')
    with pytest.raises(ValueError, match='bank_dtype'):
        half.load_state_dict(kind(**SIZES).state_dict())


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_half_banks(dtype, batch):
    torch.manual_seed(0)
    full = CRDLoss(**SIZES)
    torch.manual_seed(0)
    half = CRDLoss(**SIZES, bank_dtype=dtype)
    batch['student'] = batch['student'].float()
    batch['teacher'] = batch['teacher'].float()
    values = [loss(**batch) for loss in (full, half)]
    torch.testing.assert_close(*values, rtol=0.02, atol=0)
    values[1].backward()
    assert half.bank_student.features.dtype == getattr(torch, dtype)


def test_more_negatives_than_samples_are_drawn_with_replacement():
    loss = CRDLoss(6, 9, num_samples=5, num_negatives=50)
    args = torch.randn(2, 6), torch.randn(2, 9), torch.tensor([0, 4])
    loss(*args).backward()
    assert len(loss.bank_student) == 5


def test_one_class_has_negatives_where_classes_do_not_count():
    loss = CRDLoss(6, 9, num_samples=8, num_negatives=4, exclude_class=False)
    loss.bank_student.resize_to(8, torch.zeros(8, dtype=torch.long))
    loss(torch.randn(2, 6), torch.randn(2, 9), torch.arange(2)).backward()


def test_a_probability_of_zero_is_a_negative(batch):
    """One that is far away at a low temperature, still one of K."""
    loss = CRDLoss(**SIZES, temperature=1 / 500).double().eval()
    value = loss(**batch)
    expected = 0
    for positive, negative, v in sides(loss, batch):
        near = (positive * v).sum(1, keepdim=True)
        far = (negative @ v[:, :, None]).squeeze(2)
        x = (torch.cat([near, far], 1) * 500).exp()
        p = x / (x.mean() * 40)
        assert (p[:, 1:] == 0).any()
        expected -= (p[:, 0] / (p[:, 0] + 7 / 40 + 1e-7)).log().mean()
        noise = ((p[:, 1:] + 1e-7) * 40 / 7).log1p()
        expected += noise.sum(1).mean()
    torch.testing.assert_close(value, expected)


QUEUED = dict(student_dim=6, teacher_dim=9, embed_dim=5, queue_size=8)


def queued(kind, **kwargs):
    """A loss after one step of six samples, and a second batch of four."""
    torch.manual_seed(0)
    loss = kind(**QUEUED, **kwargs).double()
    first = dict(
        student=torch.randn(6, 6).double(),
        teacher=torch.randn(6, 9).double(),
        sample_idx=torch.arange(6),
        label=torch.tensor([0, 0, 1, 1, 2, -1]),
    )
    loss(**first).backward()
    second = dict(
        student=torch.randn(4, 6).double(),
        teacher=torch.randn(4, 9).double(),
        sample_idx=torch.tensor([7, 8, 9, 2]),
        label=torch.tensor([0, 1, -1, 2]),
    )
    return loss, second


#: Rows of the queue that are negatives of each sample of the second batch.
NEGATIVES = [[2, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 3, 5]]


@pytest.mark.parametrize('kind', [CRDLoss, GCKTLoss])
def test_queue_by_hand(kind):
    """The banks' formula with the queue's rows of other classes."""
    loss, batch = queued(kind)
    loss.eval()
    value = loss(**batch)
    v = (
        loss.embed_student(batch['student']),
        loss.embed_teacher(batch['teacher']),
    )
    memories = loss.queue_teacher.features, loss.queue_student.features
    means, expected = [], 0
    for side in (0, 1):
        scores = [
            torch.cat([v[1 - side][[i]], memories[side][rows]]) @ v[side][i]
            for i, rows in enumerate(NEGATIVES)
        ]
        scores = [(x / 0.07).exp() for x in scores]
        means.append(torch.cat(scores).mean())
        for x in scores:
            p = x / (means[-1] * 8)
            noise = (len(x) - 1) / 8
            expected -= (p[0] / (p[0] + noise)).log() / 4
            expected -= (noise / (p[1:] + noise)).log().sum() / 4
    torch.testing.assert_close(loss.normalisers, 8 * torch.stack(means))
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=0)


def test_queue_wasserstein_by_hand():
    loss, batch = queued(GCKTLoss, form='wasserstein')
    loss.eval()
    v = (
        loss.embed_student(batch['student']),
        loss.embed_teacher(batch['teacher']),
    )
    expected = -2 * (v[0] * v[1]).sum(1).mean()
    for side, queue in enumerate((loss.queue_teacher, loss.queue_student)):
        far = [
            v[side][i] @ queue.features[r].T for i, r in enumerate(NEGATIVES)
        ]
        expected += torch.cat(far).mean()
    torch.testing.assert_close(loss(**batch), expected)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_an_empty_queue_has_a_gradient(dtype):
    loss = CRDLoss(**QUEUED, bank_dtype=dtype)
    batch = dict(
        student=torch.randn(3, 6),
        teacher=torch.randn(3, 9),
        sample_idx=torch.arange(3),
    )
    value = loss(**batch)
    value.backward()
    assert value.isfinite()
    assert loss.embed_student.weight.grad.isfinite().all()
    assert not loss.normalisers.any()  # nothing to normalise by yet
    assert len(loss.queue_student) == 3
    loss(**batch).backward()
    assert loss.normalisers.all()
    assert loss.queue_samples.features[:3].tolist() == [
        [0, -1], [1, -1], [2, -1]
    ]  # fmt: skip


def test_filling_the_queues_beforehand_sets_no_normalizer():
    """As `QueueHook` does, of networks in eval mode."""
    loss = CRDLoss(**QUEUED)
    batch = dict(
        student=torch.randn(3, 6),
        teacher=torch.randn(3, 9),
        sample_idx=torch.arange(3),
    )
    with torch.no_grad():
        for _ in range(2):
            loss(**batch)
    assert len(loss.queue_student) == 6
    assert not loss.normalisers.any()
    loss(**batch).backward()
    assert loss.normalisers.all()


def test_the_memory_does_not_grow_with_the_dataset():
    loss = CRDLoss(**QUEUED)
    sizes = {name: len(x) for name, x in loss.named_buffers() if x.ndim > 1}
    assert set(sizes.values()) == {8}


def test_more_negatives_than_there_are_is_said(warned):
    """Of the largest class there are fewest: 40 samples, 31 of class 0."""
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=tiny_classifier(),
            teacher=tiny_classifier(),
            losses=dict(crd=dict(type='CRDLoss', num_negatives=10)),
            input_size=(1, 8, 8),
        )
    )
    labels = torch.zeros(40, dtype=torch.long)
    labels[31:] = torch.arange(9) + 1
    model.set_training_set(40, labels)
    assert 'CRDLoss.num_negatives=10' in warned()
    assert 'only 9 negatives' in warned()
    drawn = model.losses['crd'].bank_student.draw_negatives(
        torch.tensor([0]), 50, torch.tensor([0])
    )
    assert set(drawn.flatten().tolist()) == set(range(31, 40))
