"""SEED and CompRess: similarities to samples of earlier steps."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import digits_batch, digits_config, tiny_classifier
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper

from mmdistill.engine.runner import DistillRunner
from mmdistill.models.losses import CompRessLoss, SEEDLoss
from mmdistill.registry import MODELS


def rows(seed: int, number: int = 5, dim: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, dim, dtype=torch.float64, generator=generator)


def unit(seed: int, number: int, dim: int = 7) -> torch.Tensor:
    return F.normalize(rows(seed, number, dim))


# SEED -----------------------------------------------------------------------
def seed_by_hand(student, teacher, queue, t_s=0.2, t_t=0.01):
    student, teacher = F.normalize(student), F.normalize(teacher)

    def scores(x):
        own = (x * teacher).sum(1, keepdim=True)
        return torch.cat([own, x @ queue.t()], dim=1)

    target = (scores(teacher) / t_t).softmax(1)
    return F.cross_entropy(scores(student) / t_s, target)


@pytest.mark.parametrize('size', [0, 1, 30])
@pytest.mark.parametrize('t_t', [0.01, 0.5])
def test_seed_by_hand(size, t_t):
    student, teacher, queue = rows(0).requires_grad_(), rows(1), unit(2, size)
    expected = seed_by_hand(student, teacher, queue, t_t=t_t)
    (grad,) = torch.autograd.grad(expected, student)
    value = SEEDLoss(teacher_temperature=t_t)(student, teacher, queue)
    value.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(student.grad, grad)
    if size == 0:
        assert value == 0


PAIRS = dict(
    cross=[(0, 1), (0, 2), (1, 0), (1, 2)],
    all=[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
    same_and_local=[(0, 0), (0, 2), (1, 1), (1, 2)],
)


@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.parametrize('pairs', PAIRS)
def test_seed_views_are_the_sum_of_their_pairs(pairs, reduction):
    """The own key is the pair's teacher view."""
    student, teacher = [rows(i) for i in range(3)], [rows(5), rows(6)]
    queue = unit(9, 30)
    loss = SEEDLoss(0.2, 0.5, pairs=pairs, reduction=reduction)
    expected = sum(
        seed_by_hand(student[s], teacher[t], queue, t_t=0.5)
        for t, s in PAIRS[pairs]
    )
    if reduction == 'mean':
        expected = expected / len(PAIRS[pairs])
    torch.testing.assert_close(loss(student, teacher, queue), expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_seed_tells_near_keys_apart_under_autocast(dtype):
    """Similarities that differ by less than half precision has steps."""
    teacher = unit(1, 4, 64).float()
    noise = 0.01 * rows(3, 40, 64).float()
    queue = F.normalize(teacher.repeat(10, 1) + noise)
    gaps = (teacher @ queue.t()).topk(3, dim=1).values.diff().abs()
    assert gaps.max() < torch.finfo(dtype).eps
    student = rows(0, 4, 64).float()
    temperatures = 0.02, 1e-3
    expected = seed_by_hand(
        student.double(), teacher.double(), queue.double(), *temperatures
    )
    loss = SEEDLoss(*temperatures)
    with torch.autocast('cpu', dtype):
        value = loss(student, teacher, queue)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)


def test_seed_remembers_the_teachers_rows_of_all_views():
    views = [rows(0).half(), rows(1).half()]
    found = SEEDLoss().remember([rows(2).requires_grad_()] * 4, views)['queue']
    for row, view in zip(found, views, strict=True):
        assert row.dtype == torch.float32
        torch.testing.assert_close(row, F.normalize(view.float()))
    one = SEEDLoss().remember(rows(2), rows(0))['queue']
    torch.testing.assert_close(one, F.normalize(rows(0)))


# CompRess -------------------------------------------------------------------
def compress_by_hand(student, teacher, student_queue, teacher_queue):
    """As the authors write it: softmax, log-softmax, KL per sample."""
    log_s, p_t = (
        F.normalize(x) @ q.t() / 0.04
        for x, q in ((student, student_queue), (teacher, teacher_queue))
    )
    return F.kl_div(
        log_s.log_softmax(1), p_t.softmax(1), reduction='batchmean'
    )


def test_compress_by_hand():
    """The two spaces have widths of their own."""
    student, queues = rows(0).requires_grad_(), (unit(2, 30), unit(3, 30, 4))
    teacher = rows(1, dim=4).requires_grad_()
    expected = compress_by_hand(student, teacher.detach(), *queues)
    (grad,) = torch.autograd.grad(expected, student)
    value = CompRessLoss()(student, teacher, *queues)
    value.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(student.grad, grad)
    assert teacher.grad is None


def test_compress_with_one_queue():
    queue = unit(2, 30)
    expected = compress_by_hand(rows(0), rows(1), queue, queue)
    loss = CompRessLoss(queues=1)
    assert loss.needs == ('teacher_queue',)
    torch.testing.assert_close(
        loss(rows(0), rows(1), teacher_queue=queue), expected
    )
    assert set(loss.remember(rows(0), rows(1))) == {'teacher_queue'}


def test_compress_is_zero_where_the_spaces_are_alike():
    """A rotation of the teacher's space keeps all similarities."""
    turn, _ = torch.linalg.qr(rows(5, 7))
    x, queue = rows(0).requires_grad_(), unit(1, 30)
    value = CompRessLoss()(x @ turn, x, queue @ turn, queue)
    value.backward()
    assert value.abs() < 1e-12 and x.grad.abs().max() < 1e-10


def test_compress_with_an_empty_queue():
    student = rows(0).requires_grad_()
    value = CompRessLoss()(student, rows(1), unit(2, 0), unit(2, 0))
    value.backward()
    assert value == 0 and not student.grad.any()


def test_compress_bad_input():
    queue = unit(2, 8)
    with pytest.raises(ValueError, match='queues=1.*got 3'):
        CompRessLoss(queues=3)
    with pytest.raises(ValueError, match=r'6 \(student\) and 8.*one size'):
        CompRessLoss()(rows(0), rows(1), queue[:6], queue)
    with pytest.raises(ValueError, match='7 wide.*teacher 4.*queues=2'):
        CompRessLoss(queues=1)(
            rows(0), rows(1, dim=4), teacher_queue=unit(2, 8, 4)
        )
    with pytest.raises(ValueError, match='needs teacher_queue'):
        CompRessLoss()(rows(0), rows(1))


# Both -----------------------------------------------------------------------
BOTH = [SEEDLoss(), CompRessLoss()]


def kind(loss) -> str:
    return type(loss).__name__


@pytest.mark.parametrize('loss', BOTH, ids=kind)
def test_gradients(loss):
    queues = [unit(2, 6)] * len(loss.needs)
    assert torch.autograd.gradcheck(
        lambda student: loss(student, rows(1), *queues),
        rows(0).requires_grad_(),
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize('loss', BOTH, ids=kind)
def test_large_half_vectors(loss, dtype):
    """Entries of +-1000, whose squares half precision cannot hold."""
    student, teacher = (
        (rows(i).sign() * (1000 - rows(i).abs())).to(dtype) for i in range(2)
    )
    queues = [unit(2, 6).to(dtype)] * len(loss.needs)
    student.requires_grad_()
    value = loss(student, teacher, *queues)
    value.backward()
    expected = loss(
        student.double(), teacher.double(), *(q.double() for q in queues)
    )
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)


def build(losses, sizes, **kwargs):
    model = dict(
        type='OfflineDistiller',
        student=tiny_classifier(),
        teacher=tiny_classifier(depth=14, widths=(8, 8, 8, 12)),
        losses=losses,
        memories={
            name: dict(type='FeatureQueue', size=size)
            for name, size in sizes.items()
        },
        task_weight=0,
        data_preprocessor=dict(mean=[120.0], std=[60.0]),
        input_size=(1, 8, 8),
    )
    return MODELS.build({**copy.deepcopy(model), **kwargs})


TWO = dict(student_queue=20, teacher_queue=20)
COMPRESS = dict(compress=dict(type='CompRessLoss', level='feature'))


def test_two_queues_in_a_distiller():
    """Widths of their own, and row k of both from one sample."""
    model = build(COMPRESS, TWO)
    queues = model.memories
    assert queues['student_queue'].storage.shape == (20, 16)
    assert queues['teacher_queue'].storage.shape == (20, 12)
    wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1))
    )
    model.train()
    seen = dict(student_queue=[], teacher_queue=[])
    remember = model.losses['compress'].remember

    def spy(student, teacher):
        for name, x in zip(seen, (student, teacher), strict=True):
            seen[name].append(F.normalize(x.detach()))
        return remember(student, teacher)

    model.losses['compress'].remember = spy
    logs = [
        model.train_step(digits_batch(8, start=10 * i), wrapper)
        for i in range(3)
    ]
    values = [log['compress'].item() for log in logs]
    assert values[0] == 0 and all(value > 0 for value in values[1:])
    for name, batches in seen.items():
        latest = torch.cat(batches)[-20:]
        torch.testing.assert_close(queues[name].ordered(), latest)
        assert queues[name].enqueued == 24


def test_one_queue_in_a_distiller():
    one = dict(compress=dict(COMPRESS['compress'], queues=1))
    wide = dict(teacher=tiny_classifier(depth=14))
    model = build(one, dict(teacher_queue=20), **wide)
    assert set(model.memories) == {'teacher_queue'}
    with pytest.raises(ValueError, match='student_queue'):
        build(one, TWO, **wide)
    with pytest.raises(ValueError, match='16 wide.*teacher 12.*queues=2'):
        build(one, dict(teacher_queue=20))
    with pytest.raises(ValueError, match='student_queue'):
        build(COMPRESS, dict(teacher_queue=20))


def test_saved_and_resumed_equals_never_stopped(tmp_path):
    """Real runs of all the losses that keep a state of earlier samples."""
    losses = dict(
        COMPRESS,
        seed=dict(type='SEEDLoss', level='feature'),
        dino=dict(type='DINOLoss'),
    )
    teacher = tmp_path / 'teacher.pth'
    torch.save(MODELS.build(tiny_classifier(depth=14)).state_dict(), teacher)

    def train(name, epochs, resume=False):
        cfg = digits_config(
            tmp_path / name,
            losses,
            custom_hooks=[dict(type='ResumeStateHook')],
            resume=resume,
            **{
                'model.memories': {
                    queue: dict(type='FeatureQueue', size=80)
                    for queue in (*TWO, 'queue')
                },
                'model.teacher_ckpt': str(teacher),
                'train_cfg.max_epochs': epochs,
            },
        )
        runner = DistillRunner.from_cfg(cfg)
        runner.train()
        return runner.model.state_dict()

    expected = train('whole', 2)
    train('parts', 1)
    resumed = train('parts', 2, resume=True)
    assert expected['losses.dino.center'].any()
    assert expected['memories.queue.enqueued'] == 192
    assert set(resumed) == set(expected)
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


# A momentum copy of the student fills its queue --------------------------
SLOW = dict(
    type='MomentumUpdateHook',
    source='student',
    target='slow_student',
    momentum=0.9,
)


class BatchesHook(Hook):
    """Trains in float64, keeps the first model, the batches, the losses."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.batches, self.losses = [], []

    def before_train(self, runner):
        runner.model.double()
        self.model = copy.deepcopy(runner.model)

    def before_train_iter(self, runner, batch_idx, data_batch):
        self.batches.append(data_batch)

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        self.losses.append(outputs['compress'].item())


def slow_config(work_dir, epochs=2, **kwargs):
    options = {
        'model.memory_encoder': 'slow_student',
        'model.memories': {
            name: dict(type='FeatureQueue', size=80) for name in TWO
        },
        'model.task_weight': 0,
        'train_cfg.max_epochs': epochs,
    }
    cfg = digits_config(work_dir, COMPRESS, **options, **kwargs)
    cfg.custom_hooks = [dict(type='ResumeStateHook'), dict(SLOW)]
    return cfg


def test_a_slow_student_fills_the_queue_as_in_the_authors_loop(
    tmp_path, monkeypatch
):
    """Forward of both, step, then the copy moves; its own batch norms."""
    monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
    runner = DistillRunner.from_cfg(slow_config(tmp_path))
    seen = BatchesHook()
    runner.register_hook(seen)
    runner.train()

    student, teacher = seen.model.student, seen.model.teacher
    key = copy.deepcopy(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    student_queue = torch.zeros(0, 16, dtype=torch.float64)
    teacher_queue = student_queue.clone()
    losses = []
    for batch in seen.batches:
        x = seen.model.data_preprocessor(batch, True)['inputs']
        with torch.no_grad():
            t = teacher.extract_feat(x)[-1]
            k = key.extract_feat(x)[-1]
        s = student.extract_feat(x)[-1]
        loss = compress_by_hand(s, t, student_queue, teacher_queue)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        student_queue = torch.cat([student_queue, F.normalize(k)])[-80:]
        teacher_queue = torch.cat([teacher_queue, F.normalize(t)])[-80:]
        with torch.no_grad():
            for slow, fast in zip(
                key.parameters(), student.parameters(), strict=True
            ):
                slow.mul_(0.9).add_(0.1 * fast)
    assert len(losses) == 6 and losses[0] == 0 and min(losses[1:]) > 0
    torch.testing.assert_close(seen.losses, losses, rtol=1e-10, atol=0)
    queues = runner.model.memories
    for name, expected in [
        ('student_queue', student_queue),
        ('teacher_queue', teacher_queue),
    ]:
        found = queues[name].ordered()
        torch.testing.assert_close(found.double(), expected)
    for ours, theirs in [(runner.model.student, student),
                         (runner.model.slow_student, key)]:  # fmt: skip
        state = theirs.state_dict()
        for name, value in ours.state_dict().items():
            torch.testing.assert_close(value, state[name], msg=name)


def test_a_slow_student_resumes(tmp_path):
    def train(name, epochs, resume=False):
        cfg = slow_config(tmp_path / name, epochs, resume=resume)
        cfg.model.teacher_ckpt = str(tmp_path / 'teacher.pth')
        runner = DistillRunner.from_cfg(cfg)
        runner.train()
        return runner.model.state_dict()

    teacher = MODELS.build(tiny_classifier(depth=14))
    torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
    expected = train('whole', 2)
    train('parts', 1)
    resumed = train('parts', 2, resume=True)
    assert set(resumed) == set(expected)
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name


def test_a_slow_student_draws_no_dropout_but_takes_the_batchs_statistics():
    student = dict(
        type='SelfSupervisedEncoder',
        backbone=tiny_classifier()['backbone'],
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='ProjectionHead', hidden_dim=8, out_dim=6, dropout=(0.5, 0.5)
        ),
    )
    model = build(
        dict(compress=dict(type='CompRessLoss')),
        TWO,
        student=student,
        teacher=copy.deepcopy(student),
        memory_encoder='slow_student',
    )
    model.train()
    batch = model.data_preprocessor(digits_batch(8))
    first, second = (model._remembered([batch['inputs']]) for _ in range(2))
    assert torch.equal(first[0].embedding, second[0].embedding)
    assert model.slow_student.backbone.bn1.num_batches_tracked > 0
    assert model.student.backbone.bn1.num_batches_tracked == 0
    model.eval()
    assert not any(m.training for m in model.modules())
    assert not any(p.requires_grad for p in model.slow_student.parameters())


def test_bad_memory_encoders():
    with pytest.raises(ValueError, match="slow_student.*got 'key'"):
        build(COMPRESS, TWO, memory_encoder='key')
    seed = dict(seed=dict(type='SEEDLoss', level='feature'))
    wide = dict(teacher=tiny_classifier(depth=14))
    with pytest.raises(ValueError, match=r"\['seed'\] keeps any of the stu"):
        build(seed, dict(queue=20), memory_encoder='slow_student', **wide)
    with pytest.raises(ValueError, match='contrastive_encoder'):
        build({}, {}, type='CoCoRD', memory_encoder='slow_student')
