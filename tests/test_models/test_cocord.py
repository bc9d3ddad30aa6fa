import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import (
    digits_batch,
    digits_config,
    distiller,
    losses_of,
    relative_error,
    tiny_classifier,
    trained,
)

from mmdistill.models.losses import InfoNCELoss, PredictionLoss
from mmdistill.registry import MODELS


def test_golden(golden):
    g = golden('cocord')
    names = 'student_q', 'student_p1', 'student_p2'
    leaves = {name: g[name].requires_grad_() for name in names}
    contrastive = InfoNCELoss(temperature=0.1)(
        leaves['student_q'], g['teacher_k'], g['queue']
    )
    predict = PredictionLoss()
    prediction = predict(leaves['student_p1'], g['target_q2']) + predict(
        leaves['student_p2'], g['target_q1']
    )
    total = contrastive + prediction
    total.backward()
    assert relative_error(contrastive, g['loss_infonce']) < golden.bound
    assert relative_error(prediction, g['loss_predictor']) < golden.bound
    assert relative_error(total, g['loss']) < golden.bound
    for name, leaf in leaves.items():
        error = relative_error(leaf.grad, g[f'grad_{name}'])
        assert error < golden.bound


def config(**kwargs):
    cfg = dict(
        teacher=tiny_classifier(depth=14),
        head=dict(type='ProjectionHead', out_dim=6),
        queue_size=20,
    )
    return distiller('CoCoRD', **cfg | kwargs)


def build(**kwargs):
    return MODELS.build(config(**kwargs))


def two_views(size=8):
    batch = digits_batch(size)
    batch['inputs'] = [batch['inputs'], digits_batch(size, start=50)['inputs']]
    return batch


WIDE = tiny_classifier(depth=14, widths=(8, 8, 8, 12))


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('cognate', ['slow_student', 'teacher', None])
@pytest.mark.parametrize('contrastive', ['teacher', 'slow_student', None])
def test_by_hand(symmetric, contrastive, cognate):
    """Each term, written out from the paper's figure, in eval mode."""
    options = dict(contrastive_encoder=contrastive, cognate_encoder=cognate)
    if contrastive is None and cognate is None:
        with pytest.raises(ValueError, match='not both None'):
            build(**options)
        return
    model = build(symmetric=symmetric, **options).eval()
    for parameter in model.slow_student.parameters():
        parameter.data.mul_(1.1)  # not the student itself
    if contrastive:
        queue = model.memories['dictionary']
        queue.enqueue(F.normalize(torch.randn(13, 6)))
    batch = two_views()
    got = losses_of(model, batch)

    x, y = ((view - 120) / 60 for view in batch['inputs'])
    pool = {
        'student': lambda v: model.student_head(
            model.student.extract_feat(v)[-1]
        ),
        'teacher': lambda v: model.teacher_head(
            model.teacher.extract_feat(v)[-1]
        ),
        'slow_student': lambda v: model.slow_head(
            model.slow_student.extract_feat(v)[-1]
        ),
    }
    label = torch.arange(8) % 10
    expected = dict(task=F.cross_entropy(model.student(x), label))
    if contrastive:
        q, k = (
            F.normalize(pool['student'](x)),
            F.normalize(pool[contrastive](y)),
        )
        scores = torch.cat([(q * k).sum(1, True), q @ queue.features.t()], 1)
        expected['contrastive'] = F.cross_entropy(
            scores / 0.1, torch.zeros(8, dtype=torch.long)
        )
    if cognate:
        directions = [(x, y), (y, x)] if symmetric else [(x, y)]
        expected['prediction'] = 4 * sum(
            (
                2
                - 2
                * F.cosine_similarity(
                    model.predictor(pool['student'](a)), pool[cognate](b)
                )
            ).mean()
            for a, b in directions
        )
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)


def test_dictionary_moves_after_backward():
    model = build()
    queue = model.memories['dictionary']
    losses = losses_of(model, two_views())
    assert len(queue) == 0
    sum(losses.values()).backward()
    assert len(queue) == 8
    norms = queue.features.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(8))


@pytest.mark.parametrize('symmetric', [True, False])
def test_with_kd(symmetric):
    kd = dict(kd=dict(type='KDLoss'))
    model = build(losses=kd, symmetric=symmetric).eval()
    batch = two_views()
    got = losses_of(model, batch)
    view = (batch['inputs'][1 if symmetric else 0] - 120) / 60
    expected = model.losses['kd'](model.student(view), model.teacher(view))
    torch.testing.assert_close(got['kd'], expected)
    # All that looks at logits looks at one image, as in the benchmark.
    expected = F.cross_entropy(model.student(view), torch.arange(8) % 10)
    torch.testing.assert_close(got['task'], expected)


@pytest.mark.parametrize('name', ['contrastive', 'prediction', 'task'])
def test_a_further_loss_may_not_replace_its_own(name):
    names = "'contrastive', 'loss', 'prediction', 'task'"
    with pytest.raises(ValueError, match=f'{name}.*{names}.*rename'):
        build(losses={name: dict(type='KDLoss')})


def test_dictionary_and_prediction_share_keys_in_option_f():
    """Table 5: without a contrastive encoder the cognate one fills it."""
    model = build(
        contrastive_encoder='slow_student', cognate_encoder='slow_student'
    )
    predicted = []
    model.prediction.register_forward_hook(
        lambda module, inputs, output: predicted.append(inputs[1])
    )
    losses_of(model, two_views())['contrastive'].backward()
    rows = model.memories['dictionary'].features
    torch.testing.assert_close(rows, F.normalize(predicted[0]))


def test_copies_learn_nothing_and_the_teacher_never_changes():
    model = build()
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert not any(
        name.startswith(('slow', 'teacher_head')) for name in learning
    )
    assert any(name.startswith('predictor') for name in learning)
    before = copy.deepcopy(model.teacher.state_dict())
    sum(losses_of(model, two_views()).values()).backward()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_two_stage_losses_are_refused():
    with pytest.raises(ValueError, match='no first stage'):
        build(losses=dict(ab=dict(type='ABLoss')))


def test_one_view_is_refused():
    with pytest.raises(ValueError, match='MultiView'):
        losses_of(build(), digits_batch())


HOOKS = [
    dict(type='ResumeStateHook'),
    dict(type='MomentumUpdateHook', source='student', target='slow_student',
         momentum=0.9),
    dict(type='MomentumUpdateHook', source='student_head',
         target='slow_head', momentum=0.9),
    dict(type='MomentumUpdateHook', source='student_head',
         target='teacher_head', momentum=0.999),
    dict(type='QueueHook', prefill=20),
    dict(type='ExportStudentHook'),
]  # fmt: skip


def run(work_dir, epochs=2, resume=False, **model):
    cfg = digits_config(work_dir, custom_hooks=HOOKS, resume=resume)
    cfg.model = config(**model)
    crop = cfg.train_dataloader.dataset.pipeline[0]
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='MultiView', num_views=[2], transforms=[[crop]]),
        dict(type='PackInputs'),
    ]
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    cfg.train_cfg.max_epochs = epochs
    torch.manual_seed(0)
    return trained(cfg)


@pytest.mark.parametrize('teacher', [tiny_classifier(depth=14), WIDE],
                         ids=['same', 'wider'])  # fmt: skip
def test_real_run(tmp_path, teacher):
    runner = run(tmp_path, teacher=teacher)
    model = runner.model
    trained = {
        id(p)
        for group in runner.optim_wrapper.optimizer.param_groups
        for p in group['params']
    }
    for name in ('slow_student', 'slow_head', 'teacher_head'):
        assert not trained & {id(p) for p in getattr(model, name).parameters()}
    student = dict(model.student.named_parameters())
    slow = dict(model.slow_student.named_parameters())
    moved = [n for n in slow if not torch.equal(slow[n], student[n])]
    assert len(moved) > len(slow) / 2
    # a head of another width has nothing to follow
    head, source = model.teacher_head[0].weight, model.student_head[0].weight
    if teacher is WIDE:
        assert model.frozen_copies == ('teacher_head',)
        assert head.shape != source.shape
    else:
        assert not torch.equal(head, source)
    assert len(model.memories['dictionary']) == 20


def test_learns_without_the_task(tmp_path):
    """lambda_cls = 0 of Table 7: features move, the classifier does not."""
    model = run(tmp_path, epochs=1, task_weight=0.0).model
    slow = dict(model.slow_student.named_parameters())
    moved = {
        name.split('.')[0]
        for name, value in model.student.named_parameters()
        if not torch.equal(value, slow[name])
    }
    assert moved == {'backbone'}
    losses = losses_of(model, two_views())
    assert losses.keys() == {'contrastive', 'prediction'}


def test_resumed_equals_never_stopped(tmp_path):
    teacher = tmp_path / 'teacher.pth'
    torch.save(MODELS.build(tiny_classifier(depth=14)).state_dict(), teacher)
    kwargs = dict(teacher_ckpt=str(teacher))
    whole = run(tmp_path / 'whole', epochs=2, **kwargs).model.state_dict()
    run(tmp_path / 'parts', epochs=1, **kwargs)
    resumed = run(tmp_path / 'parts', epochs=2, resume=True, **kwargs)
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, whole[name]), name


@pytest.mark.parametrize('momentum', [0.0, 0.999])
@pytest.mark.parametrize('kind', ['contrastive', 'prediction'])
def test_its_heads_cannot_solve_it(kind, momentum):
    """Not on features that have nothing to do with the teacher's.

    The teacher's head follows the student's, so both could answer a constant.
    """
    first, unrelated, gradient = train_heads(kind, momentum, related=False)
    _, related, _ = train_heads(kind, momentum, related=True)
    assert (unrelated - related) / (first - related) > 0.1
    assert gradient > 0.03


def train_heads(kind: str, momentum: float, related: bool) -> tuple:
    """First and last loss of fixed features, and the gradient's growth."""
    torch.manual_seed(0)
    model = build(queue_size=256)
    teacher = torch.randn(512, 16)  # more than the heads can learn by heart
    student = teacher.clone() if related else torch.randn(512, 16)
    student.requires_grad_(True)
    heads = model.student_head, model.teacher_head
    parts = [*heads[0].parameters(), *model.predictor.parameters()]
    optimizer = torch.optim.Adam(parts, lr=0.02)
    queue = model.memories['dictionary']
    queue.enqueue(F.normalize(heads[1](torch.randn(512, 16))[:256]))
    values, gradients = [], []
    for _ in range(60):
        query, key = heads[0](student), heads[1](teacher).detach()
        if kind == 'contrastive':
            loss = model.contrastive(query, key, queue.features)
        else:
            loss = model.prediction(model.predictor(query), key)
        optimizer.zero_grad()
        student.grad = None
        loss.backward()
        optimizer.step()
        queue.enqueue(F.normalize(key)[:256])
        with torch.no_grad():
            for slow, quick in zip(
                heads[1].parameters(), heads[0].parameters(), strict=True
            ):
                slow.lerp_(quick, 1 - momentum)
        values.append(loss.item())
        gradients.append(student.grad.norm().item())
    return values[0], values[-1], gradients[-1] / gradients[0]


SLOW = dict(contrastive_encoder=None, task_weight=0.0)


@pytest.mark.parametrize(
    'options, said',
    [
        (SLOW, True),
        (SLOW | dict(contrastive_encoder='slow_student'), True),
        (dict(contrastive_weight=0.0, task_weight=0.0), True),
        (SLOW | dict(task_weight=1.0), False),  # of Table 7
        (SLOW | dict(cognate_encoder='teacher'), False),
        (SLOW | dict(losses=dict(kd=dict(type='KDLoss'))), False),
        (dict(task_weight=0.0), False),
    ],
)
def test_a_teacher_that_teaches_nothing(options, said, warned):
    model = build(**options)
    assert ('nothing of the teacher' in warned()) == said
    losses = losses_of(model, two_views())
    assert sum(losses.values()).isfinite()
