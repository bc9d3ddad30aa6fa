"""CompRess by hand and in a distiller; gradients of losses with queues."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import digits_batch, digits_config, tiny_classifier
from loss_inputs import filled, rows, seed, unit
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper

from mmdistill.engine.runner import DistillRunner
from mmdistill.models.losses import CompRessLoss, InfoNCELoss, SEEDLoss
from mmdistill.registry import MODELS


def compress_by_hand(student, teacher, student_queue, teacher_queue):
    """As the authors write it: softmax, log-softmax, KL per sample."""
    log_s, p_t = (
        F.normalize(x) @ q.t() / 0.04
        for x, q in ((student, student_queue), (teacher, teacher_queue))
    )
    return F.kl_div(
        log_s.log_softmax(1), p_t.softmax(1), reduction='batchmean'
    )


def compress(student_queue, teacher_queue, **kwargs) -> CompRessLoss:
    widths = student_queue.shape[1], teacher_queue.shape[1]
    return filled(
        CompRessLoss(*widths, 40, **kwargs),
        student_queue=student_queue,
        teacher_queue=teacher_queue,
    )


def test_compress_by_hand():
    """The two spaces have widths of their own."""
    student, queues = rows(0).requires_grad_(), (unit(2, 30), unit(3, 30, 4))
    teacher = rows(1, dim=4).requires_grad_()
    expected = compress_by_hand(student, teacher.detach(), *queues)
    (grad,) = torch.autograd.grad(expected, student)
    value = compress(*queues)(student, teacher)
    value.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(student.grad, grad)
    assert teacher.grad is None


def test_compress_with_one_queue():
    queue = unit(2, 30)
    expected = compress_by_hand(rows(0), rows(1), queue, queue)
    loss = filled(CompRessLoss(7, 7, 40, queues=1), teacher_queue=queue)
    assert loss.student_queue is None
    student = rows(0).requires_grad_()
    value = loss(student, rows(1))
    torch.testing.assert_close(value, expected)
    value.backward()
    kept = torch.cat([queue, F.normalize(rows(1))])
    assert torch.equal(loss.teacher_queue.ordered(), kept)


def test_compress_is_zero_where_the_spaces_are_alike():
    """A rotation of the teacher's space keeps all similarities."""
    turn, _ = torch.linalg.qr(rows(5, 7))
    x, queue = rows(0).requires_grad_(), unit(1, 30)
    value = compress(queue @ turn, queue)(x @ turn, x)
    value.backward()
    assert value.abs() < 1e-12 and x.grad.abs().max() < 1e-10


def test_compress_with_an_empty_queue():
    student = rows(0).requires_grad_()
    value = compress(unit(2, 0), unit(2, 0))(student, rows(1))
    value.backward()
    assert value == 0 and not student.grad.any()


def test_compress_takes_the_students_rows_from_another_target():
    loss = CompRessLoss(7, 4, 40, rows_of='slow_student').double()
    assert loss.further_targets == dict(student_rows='slow_student')
    student, teacher, slow = rows(0).requires_grad_(), rows(1, dim=4), rows(2)
    loss(student, teacher, student_rows=slow).backward()
    assert torch.equal(loss.student_queue.ordered(), F.normalize(slow))
    assert torch.equal(loss.teacher_queue.ordered(), F.normalize(teacher))


def test_compress_bad_input():
    with pytest.raises(ValueError, match='queues=1.*got 3'):
        CompRessLoss(7, 7, queues=3)
    with pytest.raises(ValueError, match='7 wide.*teacher 4.*queues=2'):
        CompRessLoss(7, 4, queues=1)
    with pytest.raises(ValueError, match="rows_of='slow_student'.*queues=1"):
        CompRessLoss(7, 7, queues=1, rows_of='slow_student')


def build(losses, **kwargs):
    model = dict(
        type='OfflineDistiller',
        student=tiny_classifier(),
        teacher=tiny_classifier(depth=14, widths=(8, 8, 8, 12)),
        losses=losses,
        task_weight=0,
        data_preprocessor=dict(mean=[120.0], std=[60.0]),
        input_size=(1, 8, 8),
    )
    return MODELS.build({**copy.deepcopy(model), **kwargs})


def compress_losses(size, **kwargs):
    cfg = dict(type='CompRessLoss', level='feature', queue_size=size)
    return dict(compress=cfg | kwargs)


def test_two_queues_in_a_distiller():
    """Widths of their own, and row k of both from one sample."""
    model = build(compress_losses(20))
    loss = model.losses.compress
    assert loss.student_queue.storage.shape == (20, 16)
    assert loss.teacher_queue.storage.shape == (20, 12)
    wrapper = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1))
    )
    model.train()
    seen = dict(student_queue=[], teacher_queue=[])

    def keep(_, given):
        for name, x in zip(seen, given, strict=True):
            seen[name].append(F.normalize(x.detach()))

    loss.register_forward_pre_hook(keep)
    logs = [
        model.train_step(digits_batch(8, start=10 * i), wrapper)
        for i in range(3)
    ]
    values = [log['compress'].item() for log in logs]
    assert values[0] == 0 and all(value > 0 for value in values[1:])
    for name, batches in seen.items():
        queue, latest = getattr(loss, name), torch.cat(batches)[-20:]
        torch.testing.assert_close(queue.ordered(), latest)
        assert queue.enqueued == 24


def test_one_queue_in_a_distiller():
    one = compress_losses(20, queues=1)
    model = build(one, teacher=tiny_classifier(depth=14))
    queues = {n for n, _ in model.named_buffers() if n.endswith('storage')}
    assert queues == {'losses.compress.teacher_queue.storage'}
    with pytest.raises(ValueError, match='16 wide.*teacher 12.*queues=2'):
        build(one)


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
        'model.slow_student': True,
        'model.task_weight': 0,
        'train_cfg.max_epochs': epochs,
        'default_hooks.slow_student': dict(SLOW),
    }
    losses = compress_losses(80, rows_of='slow_student')
    return digits_config(work_dir, losses, **options, **kwargs)


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
    loss = runner.model.losses.compress
    for queue, expected in [
        (loss.student_queue, student_queue),
        (loss.teacher_queue, teacher_queue),
    ]:
        torch.testing.assert_close(queue.ordered().double(), expected)
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
        dict(
            compress=dict(
                type='CompRessLoss', queue_size=20, rows_of='slow_student'
            )
        ),
        student=student,
        teacher=copy.deepcopy(student),
        slow_student=True,
    )
    model.train()
    batch = model.data_preprocessor(digits_batch(8))
    first, second = (
        model.read_targets([batch['inputs']], {})['slow_student'][0]
        for _ in range(2)
    )
    assert torch.equal(first.embedding, second.embedding)
    assert model.slow_student.backbone.bn1.num_batches_tracked > 0
    assert model.student.backbone.bn1.num_batches_tracked == 0
    model.eval()
    assert not any(m.training for m in model.modules())
    assert not any(p.requires_grad for p in model.slow_student.parameters())


def test_a_slow_student_that_nothing_looks_at():
    with pytest.raises(ValueError, match=r"\['seed'\] looks at it"):
        build(
            dict(seed=dict(type='SEEDLoss', level='feature', queue_size=20)),
            teacher=tiny_classifier(depth=14),
            slow_student=True,
        )
    with pytest.raises(ValueError, match="'slow_student', which the model"):
        build(compress_losses(20, rows_of='slow_student'))


BOTH = [
    pytest.param(seed, 1, id='SEEDLoss'),
    pytest.param(compress, 2, id='CompRessLoss'),
]


@pytest.mark.parametrize(('make', 'queues'), BOTH)
def test_gradients(make, queues):
    loss = make(*[unit(2, 6)] * queues).eval()
    assert torch.autograd.gradcheck(
        lambda student: loss(student, rows(1)), rows(0).requires_grad_()
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(('make', 'queues'), BOTH)
def test_large_half_vectors(make, queues, dtype):
    """Entries of +-1000, whose squares half precision cannot hold."""
    student, teacher = (
        (rows(i).sign() * (1000 - rows(i).abs())).to(dtype) for i in range(2)
    )
    queue = unit(2, 6).float()
    student.requires_grad_()
    value = make(*[queue] * queues)(student, teacher)
    value.backward()
    expected = make(*[queue.double()] * queues)(
        student.double(), teacher.double()
    )
    assert value.dtype == torch.float32 and student.grad.isfinite().all()
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
@pytest.mark.parametrize('kind', [SEEDLoss, CompRessLoss, InfoNCELoss])
def test_half_queues(kind, dtype):
    """They store rounded rows, and compare in float32."""
    widths = (7, 7) if kind is CompRessLoss else (7,)
    values = []
    for queue_dtype in ('float32', dtype):
        loss = kind(*widths, 40, queue_dtype)
        for i in range(2):
            student = rows(i).float().requires_grad_()
            value = loss(student, rows(3 + i).float())
            value.backward()
        values.append(value.detach())
        stored = {x.dtype for x in loss.buffers() if x.is_floating_point()}
        assert stored == {getattr(torch, queue_dtype)}
    assert values[1].dtype == torch.float32
    torch.testing.assert_close(*values, rtol=0.05, atol=0)


def test_saved_and_resumed_equals_never_stopped(tmp_path):
    """Real runs of all the losses that keep a state of earlier samples."""
    losses = dict(
        compress_losses(80),
        seed=dict(type='SEEDLoss', level='feature', queue_size=80),
        dino=dict(type='DINOLoss'),
    )
    teacher = tmp_path / 'teacher.pth'
    torch.save(MODELS.build(tiny_classifier(depth=14)).state_dict(), teacher)

    def train(name, epochs, resume=False):
        cfg = digits_config(
            tmp_path / name,
            losses,
            resume=resume,
            **{
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
    assert expected['losses.dino.center.value'].any()
    assert expected['losses.seed.queue.enqueued'] == 192
    assert set(resumed) == set(expected)
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name
