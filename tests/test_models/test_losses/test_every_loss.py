"""What holds for every registered loss."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import mmdistill.models.registered  # noqa: F401
from mmdistill.models.distillers.loss_builder import LEVELS
from mmdistill.models.losses import DistillLoss, PeerShapes, Phase, Shapes
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.registry import MODELS

#: The losses of the package; other tests register some of their own.
OURS = sorted(
    name
    for name, part in MODELS.module_dict.items()
    if isinstance(part, type)
    and issubclass(part, DistillLoss)
    and part.__module__.startswith('mmdistill.')
)

N, DIM, CLASSES, SAMPLES, PEERS = 8, 12, 10, 40, 3
# Widths of the student's and of the teacher's maps; some losses are choosy.
CHANNELS = dict(FSPLoss=((4, 8), (4, 8)), FTLoss=((3,), (4,)))
DEFAULT_CHANNELS = (4, 8), (6, 12)
#: What a config says of a loss; its widths are inferred.
BANK = dict(num_samples=SAMPLES, num_negatives=16)
QUEUE = dict(queue_size=20)
CONFIGS = {name: {} for name in OURS}
CONFIGS.update(
    CRDLoss=BANK,
    GCKTLoss=BANK,
    MCLLoss=BANK,
    CompRessLoss=QUEUE,
    InfoNCELoss=QUEUE,
    SEEDLoss=QUEUE,
    FeatureConfusionLoss=dict(classifier=dict(type='FeatureClassifier')),
)
#: Further forms of a loss: its type and more of its config.
FORMS = {
    'CCLoss-student': dict(embed='student'),
    'CRDLoss-queue': QUEUE,
    'CompRessLoss-one': dict(queues=1),
    'GCKTLoss-dual': dict(form='wasserstein'),
    'PredictionLoss-predictor': dict(predictor=dict(type='PredictorHead')),
}
CONFIGS.update(
    (form, CONFIGS[form.split('-')[0]] | more) for form, more in FORMS.items()
)
every_loss = pytest.mark.parametrize('name', sorted(CONFIGS))


def class_of(name: str) -> type[DistillLoss]:
    return MODELS.get(name.split('-')[0])


def infer(cls: type[DistillLoss], student_dim: int = DIM) -> dict:
    """Widths of the models that `inputs` and `fixed_batch` stand for."""
    if cls.compares == 'peers':
        return cls.infer_from_peers(PeerShapes((DIM,) * PEERS, shared_dim=DIM))
    if cls.level == 'maps':
        channels = CHANNELS.get(cls.__name__, DEFAULT_CHANNELS)
        return cls.infer(*(Shapes(channels=c) for c in channels))
    if cls.level == 'logits':
        return cls.infer(Shapes(CLASSES), Shapes(CLASSES))
    return cls.infer(Shapes(student_dim), Shapes(DIM))


def build(name: str, student_dim: int = DIM, **kwargs) -> DistillLoss:
    cls = class_of(name)
    loss = cls(**{**infer(cls, student_dim), **CONFIGS[name], **kwargs})
    generator = torch.Generator().manual_seed(3)
    for memory in loss.modules():
        if isinstance(memory, InstanceBank) and not memory.unit_rows:
            # A mean over no batch is 0 and has no gradient.
            torch.nn.init.uniform_(memory.features, -0.1, 0.1)
        if isinstance(memory, FeatureQueue):
            size = memory.storage.shape
            rows = torch.randn(*size, generator=generator)
            rows = torch.nn.functional.normalize(rows)
            memory.enqueue(rows.to(memory.storage.dtype))  # indices, in one
    return loss


def inputs(loss, dtype=torch.float32) -> tuple[list, list, dict]:
    """Leaf tensors of the student, the teacher's, and what it requires."""
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
        count = PEERS if loss.compares == 'peers' else 1
        student = [random(N, width) for _ in range(count)]
        teacher = [random(N, width)]
    student = [x.requires_grad_() for x in student]
    fields = dict(
        label=torch.arange(N) % 4,
        sample_idx=torch.arange(N) * 3,
        features=[random(N, DIM) for _ in range(PEERS)],
        shared=random(N, DIM),
    )
    return student, teacher, {name: fields[name] for name in loss.requires}


def gradients(tensors) -> list:
    """Of those that learn: EnsembleKDLoss teaches the last peer alone."""
    return [x.grad for x in tensors if x.grad is not None]


def call(loss, student, teacher, fields):
    torch.manual_seed(2)  # negatives
    if loss.compares == 'peers':
        return loss(student, **fields)
    if loss.level == 'maps':
        return loss(student, teacher, **fields)
    return loss(student[0], teacher[0], **fields)


def test_there_are_losses():
    names = (
        'KD Hint AT SP CC VID RKD PKT AB FT FSP NST CRD GCKT LCKT ProtoCPC '
        'InfoNCE Prediction DINO SEED CompRess SwappedPrediction MCL '
        'EnsembleKD DML CLILR ONE OKDDip FeatureConfusion FeatureRegression'
    )
    assert {f'{n}Loss' for n in names.split()} <= set(OURS)


@pytest.mark.parametrize('name', OURS)
def test_level(name):
    assert MODELS.get(name).level in LEVELS


@pytest.mark.parametrize('weight', [0.0, 0.25, 8.0])
@every_loss
def test_weight_scales_exactly(name, weight):
    values, grads = [], []
    for loss_weight in (1.0, weight):
        torch.manual_seed(0)
        loss = build(name, loss_weight=loss_weight)
        student, teacher, fields = inputs(loss)
        value = call(loss, student, teacher, fields)
        assert value.shape == () and value.dtype == torch.float32
        value.backward()
        values.append(value.detach())
        grads.append(gradients(student))
    assert values[0] != 0
    assert values[1] == weight * values[0]
    for one, scaled in zip(*grads, strict=True):
        torch.testing.assert_close(scaled, weight * one)


@every_loss
def test_bfloat16_autocast(name):
    """Finite, differentiable, and as exact as the bfloat16 inputs allow."""
    torch.manual_seed(0)
    loss = build(name)
    student, teacher, fields = inputs(loss)
    half = [x.detach().bfloat16().requires_grad_() for x in student]
    with torch.autocast('cpu', torch.bfloat16):
        value = call(loss, half, [x.bfloat16() for x in teacher], fields)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite()
    assert all(grad.isfinite().all() for grad in gradients(half))
    assert any(grad.abs().sum() > 0 for grad in gradients(half))

    # The same numbers without autocast: nothing may run in half precision.
    torch.manual_seed(0)
    again = build(name)
    expected = call(
        again, [x.detach().float() for x in half],
        [x.bfloat16().float() for x in teacher], fields)  # fmt: skip
    torch.testing.assert_close(value.detach(), expected.detach())


@every_loss
def test_zero_vectors_give_no_nan(name):
    loss = build(name)
    student, teacher, fields = inputs(loss)
    student = [torch.zeros_like(x).requires_grad_() for x in student]
    value = call(loss, student, teacher, fields)
    value.backward()
    assert value.isfinite()
    assert all(grad.isfinite().all() for grad in gradients(student))


@every_loss
def test_what_it_is_given_stays_as_it_is(name):
    """Other losses look at the same tensors."""
    loss = build(name)
    student, teacher, fields = inputs(loss)
    before = [x.detach().clone() for x in (*student, *teacher)]
    # Not leaves, which autograd itself would guard.
    call(loss, [x.view_as(x) for x in student], teacher, fields).backward()
    for x, expected in zip((*student, *teacher), before, strict=True):
        assert torch.equal(x.detach(), expected)


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
        student, teacher, fields = inputs(loss, parts)
        student, teacher = (
            [(x.detach() * 1000).clamp(-1000, 1000).to(dtype).to(precision)
             for x in side] for side in (student, teacher))  # fmt: skip
        student = [x.requires_grad_() for x in student]
        value = call(loss, student, teacher, fields)
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


@every_loss
def test_the_host_never_waits(name, monkeypatch):
    # Banks check indices that lie on the CPU, and no others.
    monkeypatch.setattr(InstanceBank, 'require_indices', lambda *_: None)
    loss = build(name)
    student, teacher, fields = inputs(loss)
    call(loss, student, teacher, fields).backward()  # may look once
    with NoWaiting():
        call(loss, student, teacher, fields).backward()


#: Losses that their own parts solve, whatever the student: the reference form
#: of CC embeds both sides and makes both embeddings constant.
SOLVED_ALONE = {'CCLoss'}
#: Losses whose own part works against the networks.
ADVERSARIAL = {'FeatureConfusionLoss'}
TRAINED = [
    pytest.param(name, {}, id=name)
    for name in sorted(CONFIGS)
    if any(p.requires_grad for p in build(name).parameters())
    and name not in ADVERSARIAL
] + [pytest.param('LCKTLoss', dict(student_dim=15), id='LCKTLoss-connector')]


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
        count = PEERS if loss.compares == 'peers' else 1
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
    fields = {name: fields[name] for name in loss.requires}
    return [x.requires_grad_() for x in student], teacher, fields


def train_own_parts(name: str, kwargs: dict, related: bool) -> tuple:
    """The loss before and after its own parts alone have learned."""
    torch.manual_seed(0)
    if 'num_samples' in CONFIGS[name]:
        kwargs = {**kwargs, 'num_samples': 64}
    loss = build(name, **kwargs)
    width = kwargs.get('student_dim', DIM)
    student, teacher, fields = fixed_batch(loss, width, related)
    if name == 'FTLoss':  # its teacher's side has a warm-up of its own
        loss.phase = Phase.WARMUP
        learn(loss, 100, student, teacher, fields)
        loss.phase = Phase.MAIN
    return learn(loss, 100, student, teacher, fields)


def learn(loss, steps: int, student: list, teacher: list, fields: dict):
    """First and last value, and by how much the student's gradient grew."""
    parts = list(loss.parameters())
    optimizer = torch.optim.Adam(parts, lr=0.02) if parts else None
    values, lengths = [], []
    for _ in range(steps):
        loss.zero_grad()
        for x in student:
            x.grad = None
        value = call(loss, student, teacher, fields)
        value.backward()
        if optimizer:
            optimizer.step()
        values.append(float(value.detach()))
        lengths.append(sum(g.norm() for g in gradients(student)))
    grown = float(lengths[-1] / lengths[0]) if lengths[0] else 0.0
    return values[0], values[-1], grown


@pytest.mark.parametrize(('name', 'kwargs'), TRAINED)
def test_its_own_parts_cannot_solve_it(name, kwargs):
    """The student has to do the work.

    A loss whose trained parts bring it near its minimum on features that have
    nothing to do with each other asks nothing of the student: at least a
    tenth of the way from unrelated to equal features must be left, and a
    gradient on the student.
    """
    before, after, gradient = train_own_parts(name, kwargs, related=False)
    _, minimum, _ = train_own_parts(name, {}, related=True)
    left = (after - minimum) / (before - minimum)
    if name in SOLVED_ALONE and not kwargs:
        assert left < 1e-3 and gradient < 1e-3
    else:
        assert left > 0.1, (before, after, minimum)
        assert gradient > 0.03, gradient


def test_the_student_undoes_what_an_adversary_learned():
    """It cannot tell equal embeddings apart, and the student gets there."""
    name, chance = 'FeatureConfusionLoss', 2 * torch.tensor(2.0).log()
    _, equal, _ = train_own_parts(name, {}, related=True)
    assert equal > 0.99 * chance
    torch.manual_seed(0)
    loss = build(name)
    student, teacher, fields = fixed_batch(loss, DIM, related=False)
    _, after, gradient = learn(loss, 100, student, teacher, fields)
    assert after < 0.8 * chance and gradient > 1
    loss.requires_grad_(False)
    optimizer = torch.optim.Adam(student, lr=0.02)
    for _ in range(50):
        optimizer.zero_grad()
        value = call(loss, student, teacher, fields)
        value.backward()
        optimizer.step()
    assert value > chance
