"""What holds for every registered loss."""

import inspect

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import mmdistill.models  # noqa: F401
from mmdistill.models.distillers.loss_builder import LEVELS
from mmdistill.models.memories import InstanceBank
from mmdistill.registry import MODELS

#: The losses of the package; other tests register some of their own.
OURS = sorted(
    name
    for name, part in MODELS.module_dict.items()
    if hasattr(part, 'level') and part.__module__.startswith('mmdistill.')
)

N, DIM, CLASSES, SAMPLES, PEERS = 8, 12, 10, 40, 3
# Widths of the student's and of the teacher's maps; some losses are choosy.
CHANNELS = dict(FSPLoss=((4, 8), (4, 8)), FTLoss=((3,), (4,)))
DEFAULT_CHANNELS = (4, 8), (6, 12)


def build(name: str, **kwargs) -> torch.nn.Module:
    widths = dict(student_dim=DIM, teacher_dim=DIM, num_samples=SAMPLES)
    widths.update(num_negatives=16, num_prototypes=CLASSES)
    widths.update(num_peers=PEERS, feature_dim=DIM, shared_dim=DIM)
    student, teacher = CHANNELS.get(name, DEFAULT_CHANNELS)
    widths.update(student_channels=student, teacher_channels=teacher)
    cls = MODELS.get(name)
    known = inspect.signature(cls).parameters
    given = {k: v for k, v in widths.items() if k in known}
    loss = cls(**{**given, **kwargs})
    for bank in loss.modules():
        if isinstance(bank, InstanceBank) and not bank.unit_rows:
            # A mean over no batch is 0 and has no gradient.
            torch.nn.init.uniform_(bank.features, -0.1, 0.1)
    return loss


def inputs(loss, dtype=torch.float32) -> tuple[list, list, dict]:
    """Leaf tensors of the student, the teacher's, and what the loss needs."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    if loss.level == 'maps':
        widths = CHANNELS.get(type(loss).__name__, DEFAULT_CHANNELS)
        sizes = (8, 4), (8, 2)
        student, teacher = (
            [random(N, c, s, s) for c, s in zip(cs, ss, strict=False)]
            for cs, ss in zip(widths, sizes, strict=True)
        )
    else:
        width = CLASSES if loss.level == 'logits' else DIM
        count = PEERS if compares_peers(loss) else 1
        student = [random(N, width) for _ in range(count)]
        teacher = [random(N, width)]
    student = [x.requires_grad_() for x in student]
    fields = dict(
        label=torch.arange(N) % 4,
        sample_idx=torch.arange(N) * 3,
    )
    for queue in ('negatives', 'queue', 'student_queue', 'teacher_queue'):
        fields[queue] = torch.nn.functional.normalize(random(20, DIM))
    fields['features'] = [random(N, DIM) for _ in range(PEERS)]
    fields['shared'] = random(N, DIM)
    return student, teacher, {need: fields[need] for need in loss.needs}


def compares_peers(loss) -> bool:
    return getattr(loss, 'compares_peers', False)


def gradients(tensors) -> list:
    """Of those that learn: EnsembleKDLoss teaches the last peer alone."""
    return [x.grad for x in tensors if x.grad is not None]


def call(loss, student, teacher, needed):
    torch.manual_seed(2)  # negatives
    if compares_peers(loss):
        return loss(student, **needed)
    if loss.level == 'maps':
        return loss(student, teacher, **needed)
    return loss(student[0], teacher[0], **needed)


def test_there_are_losses():
    names = (
        'KD Hint AT SP CC VID RKD PKT AB FT FSP NST CRD GCKT LCKT ProtoCPC '
        'InfoNCE Prediction DINO SEED CompRess SwappedPrediction MCL '
        'EnsembleKD DML CLILR ONE OKDDip'
    )
    assert {f'{n}Loss' for n in names.split()} <= set(OURS)


@pytest.mark.parametrize('name', OURS)
def test_level(name):
    assert MODELS.get(name).level in LEVELS


@pytest.mark.parametrize('weight', [0.0, 0.25, 8.0])
@pytest.mark.parametrize('name', OURS)
def test_weight_scales_exactly(name, weight):
    values, grads = [], []
    for loss_weight in (1.0, weight):
        torch.manual_seed(0)
        loss = build(name, loss_weight=loss_weight)
        student, teacher, needed = inputs(loss)
        value = call(loss, student, teacher, needed)
        assert value.shape == () and value.dtype == torch.float32
        value.backward()
        values.append(value.detach())
        grads.append(gradients(student))
    assert values[0] != 0
    assert values[1] == weight * values[0]
    for one, scaled in zip(*grads, strict=True):
        torch.testing.assert_close(scaled, weight * one)


@pytest.mark.parametrize('name', OURS)
def test_bfloat16_autocast(name):
    """Finite, differentiable, and as exact as the bfloat16 inputs allow."""
    torch.manual_seed(0)
    loss = build(name)
    student, teacher, needed = inputs(loss)
    half = [x.detach().bfloat16().requires_grad_() for x in student]
    with torch.autocast('cpu', torch.bfloat16):
        value = call(loss, half, [x.bfloat16() for x in teacher], needed)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite()
    assert all(grad.isfinite().all() for grad in gradients(half))
    assert any(grad.abs().sum() > 0 for grad in gradients(half))

    # The same numbers without autocast: nothing may run in half precision.
    torch.manual_seed(0)
    again = build(name)
    expected = call(
        again, [x.detach().float() for x in half],
        [x.bfloat16().float() for x in teacher], needed)  # fmt: skip
    torch.testing.assert_close(value.detach(), expected.detach())


@pytest.mark.parametrize('name', OURS)
def test_zero_vectors_give_no_nan(name):
    loss = build(name)
    student, teacher, needed = inputs(loss)
    student = [torch.zeros_like(x).requires_grad_() for x in student]
    value = call(loss, student, teacher, needed)
    value.backward()
    assert value.isfinite()
    assert all(grad.isfinite().all() for grad in gradients(student))


@pytest.mark.parametrize('name', OURS)
def test_no_gradient_to_a_frozen_teacher(name):
    loss = build(name)
    student, teacher, needed = inputs(loss)
    call(loss, student, teacher, needed).backward()
    assert all(x.grad is None for x in teacher)


LOGITS = [n for n in OURS if MODELS.get(n).level == 'logits']


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize('name', LOGITS)
def test_large_half_scores(name, dtype):
    """Scores of +-1000 over small temperatures, against double precision."""
    values, grads = [], []
    for precision in (dtype, torch.float64):
        parts = torch.promote_types(precision, torch.float32)
        torch.manual_seed(0)
        loss = build(name).to(parts)
        student, teacher, needed = inputs(loss, parts)
        student, teacher = (
            [(x.detach() * 1000).clamp(-1000, 1000).to(dtype).to(precision)
             for x in side] for side in (student, teacher))  # fmt: skip
        student = [x.requires_grad_() for x in student]
        value = call(loss, student, teacher, needed)
        value.backward()
        values.append(value.detach().double())
        grads.append(student[-1].grad)
    assert values[0].isfinite() and grads[0].isfinite().all()
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grads[0], grads[1].to(dtype))


class NoWaiting(TorchDispatchMode):
    """Refuses operations for which the host waits for the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket._qualified_op_name
        if name in ('aten::_local_scalar_dense', 'aten::nonzero'):
            raise AssertionError(f'{name} makes the host wait')
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize('name', OURS)
def test_the_host_never_waits(name, monkeypatch):
    # Banks check indices that lie on the CPU, and no others.
    monkeypatch.setattr(InstanceBank, 'require_indices', lambda *_: None)
    loss = build(name)
    student, teacher, needed = inputs(loss)
    call(loss, student, teacher, needed).backward()  # may look once
    with NoWaiting():
        call(loss, student, teacher, needed).backward()


#: Losses that their own parts solve, whatever the student: the reference form
#: of CC embeds both sides and makes both embeddings constant.
SOLVED_ALONE = {'CCLoss'}
TRAINED = [
    pytest.param(name, {}, id=name)
    for name in OURS
    if any(p.requires_grad for p in build(name).parameters())
] + [
    pytest.param('CCLoss', dict(embed='student'), id='CCLoss-student'),
    pytest.param('GCKTLoss', dict(form='wasserstein'), id='GCKTLoss-dual'),
    pytest.param('LCKTLoss', dict(student_dim=15), id='LCKTLoss-connector'),
]


def fixed_batch(loss, width: int, related: bool) -> tuple[list, list, dict]:
    """64 samples whose student's side has nothing, or all, of the teacher's.

    Args:
        width: of the student's features.
    """
    samples = 64
    generator = torch.Generator().manual_seed(1)

    def random(*shape):
        return torch.randn(samples, *shape, generator=generator)

    def maps(channels):
        # Where a map is large differs from sample to sample.
        return random(channels, 4, 4) * random(1, 4, 4).exp()

    if loss.level == 'maps':
        widths = CHANNELS.get(type(loss).__name__, DEFAULT_CHANNELS)
        student, teacher = ([maps(c) for c in side] for side in widths)
        if related:
            student = [
                t[:, : s.shape[1]]
                for s, t in zip(student, teacher, strict=True)
            ]
    else:
        count = PEERS if compares_peers(loss) else 1
        size = CLASSES if loss.level == 'logits' else DIM
        teacher = [random(size)]
        width = size if loss.level == 'logits' else width
        student = [random(width) for _ in range(count)]
        if related:
            student = [teacher[0].clone() for _ in range(count)]
    features = [random(DIM) for _ in range(PEERS)]
    fields = dict(
        label=torch.arange(samples) % 4,
        sample_idx=torch.arange(samples),
        features=features[:1] * PEERS if related else features,
        shared=random(DIM),
    )
    needed = {need: fields[need] for need in loss.needs}
    return [x.requires_grad_() for x in student], teacher, needed


def train_own_parts(name: str, kwargs: dict, related: bool) -> tuple:
    """The loss before and after its own parts alone have learned."""
    torch.manual_seed(0)
    kwargs = {**kwargs, **({'num_samples': 64} if name in BANKED else {})}
    loss = build(name, **kwargs)
    width = kwargs.get('student_dim', DIM)
    student, teacher, needed = fixed_batch(loss, width, related)
    if name == 'FTLoss':  # its teacher's side has a warm-up of its own
        loss.stage = 1
        learn(loss, 100, student, teacher, needed)
        loss.stage = 2
    return learn(loss, 100, student, teacher, needed)


def learn(loss, steps: int, student: list, teacher: list, needed: dict):
    """First and last value, and by how much the student's gradient grew."""
    parts = list(loss.parameters())
    optimizer = torch.optim.Adam(parts, lr=0.02) if parts else None
    values, lengths = [], []
    for _ in range(steps):
        loss.zero_grad()
        for x in student:
            x.grad = None
        value = call(loss, student, teacher, needed)
        value.backward()
        if optimizer:
            optimizer.step()
        values.append(float(value.detach()))
        lengths.append(sum(g.norm() for g in gradients(student)))
    grown = float(lengths[-1] / lengths[0]) if lengths[0] else 0.0
    return values[0], values[-1], grown


BANKED = ('CRDLoss', 'GCKTLoss', 'MCLLoss')


@pytest.mark.parametrize(('name', 'kwargs'), TRAINED)
def test_its_own_parts_cannot_solve_it(name, kwargs):
    """The student has to do the work.

    A loss whose trained parts bring it near its minimum on features that have
    nothing to do with each other asks nothing of the student: at least a
    tenth of the way from unrelated to equal features must be left, and a
    gradient on the student.
    """
    before, after, gradient = train_own_parts(name, kwargs, related=False)
    alike = {k: v for k, v in kwargs.items() if k != 'student_dim'}
    _, minimum, _ = train_own_parts(name, alike, related=True)
    left = (after - minimum) / (before - minimum)
    if name in SOLVED_ALONE and not kwargs:
        assert left < 1e-3 and gradient < 1e-3
    else:
        assert left > 0.1, (before, after, minimum)
        assert gradient > 0.03, gradient
