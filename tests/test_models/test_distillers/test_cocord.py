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

from mmdistill.engine.checks import warn_if_untaught
from mmdistill.models.losses import InfoNCELoss, PredictionLoss
from mmdistill.registry import MODELS


def test_golden(golden):
    g = golden('cocord')
    names = 'student_q', 'student_p1', 'student_p2'
    leaves = {name: g[name].requires_grad_() for name in names}
    rows, width = g['queue'].shape
    infonce = InfoNCELoss(width, queue_size=rows, temperature=0.1)
    infonce.to(g['queue'].dtype).queue.enqueue(g['queue'])
    contrastive = infonce(leaves['student_q'], g['teacher_k'])
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


CONTRASTIVE = dict(type='InfoNCELoss', queue_size=20, temperature=0.1)

PREDICTION = dict(
    type='PredictionLoss',
    target='slow_student',
    predictor=dict(type='PredictorHead'),
    loss_weight=4.0,
)


def losses(contrastive='teacher', prediction='slow_student', **others):
    """The two losses of the paper, by their targets, and others."""
    both = dict(
        contrastive=contrastive and dict(CONTRASTIVE, target=contrastive),
        prediction=prediction and dict(PREDICTION, target=prediction),
    )
    return {**both, **others}


def config(**kwargs):
    cfg = dict(
        teacher=tiny_classifier(depth=14),
        losses=losses(),
        head=dict(type='ProjectionHead', out_dim=6),
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
@pytest.mark.parametrize('prediction', ['slow_student', 'teacher', None])
@pytest.mark.parametrize('contrastive', ['teacher', 'slow_student', None])
def test_by_hand(symmetric, contrastive, prediction):
    """Each term, written out from the paper's figure, in eval mode."""
    chosen = losses(contrastive, prediction)
    if contrastive is None and prediction is None:
        with pytest.raises(ValueError, match='not both None'):
            build(losses=chosen)
        return
    model = build(symmetric=symmetric, losses=chosen).eval()
    for parameter in model.slow_student.parameters():
        parameter.data.mul_(1.1)  # not the student itself
    if contrastive:
        queue = model.losses.contrastive.queue
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
    if prediction:
        predictor = model.losses.prediction.predictor
        directions = [(x, y), (y, x)] if symmetric else [(x, y)]
        expected['prediction'] = 4 * sum(
            (
                2
                - 2
                * F.cosine_similarity(
                    predictor(pool['student'](a)), pool[prediction](b)
                )
            ).mean()
            for a, b in directions
        )
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value)


def test_dictionary_moves_after_backward():
    model = build()
    queue = model.losses.contrastive.queue
    values = losses_of(model, two_views())
    assert len(queue) == 0
    sum(values.values()).backward()
    assert len(queue) == 8
    norms = queue.features.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(8))


@pytest.mark.parametrize('symmetric', [True, False])
def test_with_kd(symmetric):
    with_kd = losses(kd=dict(type='KDLoss'))
    model = build(losses=with_kd, symmetric=symmetric).eval()
    batch = two_views()
    got = losses_of(model, batch)
    view = (batch['inputs'][1 if symmetric else 0] - 120) / 60
    expected = model.losses['kd'](model.student(view), model.teacher(view))
    torch.testing.assert_close(got['kd'], expected)
    # All that looks at logits looks at one image, as in the benchmark.
    expected = F.cross_entropy(model.student(view), torch.arange(8) % 10)
    torch.testing.assert_close(got['task'], expected)


def test_no_loss_may_have_the_tasks_name():
    with pytest.raises(ValueError, match="'task'.*rename"):
        build(losses=losses(task=dict(type='KDLoss')))


def test_dictionary_and_prediction_share_keys_in_option_f():
    """Table 5: the slow student's key fills the dictionary, too."""
    model = build(losses=losses('slow_student', 'slow_student'))
    predicted = []
    model.losses.prediction.register_forward_hook(
        lambda module, inputs, output: predicted.append(inputs[1][0])
    )
    losses_of(model, two_views())['contrastive'].backward()
    rows = model.losses.contrastive.queue.features
    torch.testing.assert_close(rows, F.normalize(predicted[0]))


def test_copies_learn_nothing_and_the_teacher_never_changes():
    model = build()
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    assert not any(
        name.startswith(('slow', 'teacher_head')) for name in learning
    )
    assert any('prediction.predictor' in name for name in learning)
    before = copy.deepcopy(model.teacher.state_dict())
    sum(losses_of(model, two_views()).values()).backward()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_slow_student_trains_whole():
    """Its dropout is on, as the student's, in contrast to CompRess's."""
    model = build().train()
    assert all(m.training for m in model.slow_student.modules())
    assert not any(m.training for m in model.eval().slow_student.modules())


def test_losses_with_a_warm_up_are_refused():
    with pytest.raises(ValueError, match='no warm-up phase'):
        build(losses=losses(ab=dict(type='ABLoss')))


def test_one_view_is_refused():
    with pytest.raises(ValueError, match='MultiView'):
        losses_of(build(), digits_batch())


HOOKS = dict(
    slow_student=dict(type='MomentumUpdateHook', source='student',
                      target='slow_student', momentum=0.9),
    slow_head=dict(type='MomentumUpdateHook', source='student_head',
                   target='slow_head', momentum=0.9),
    teacher_head=dict(type='MomentumUpdateHook', source='student_head',
                      target='teacher_head', momentum=0.999),
    queue=dict(type='QueueHook', prefill=20),
    export_student={},
)  # fmt: skip


def run(work_dir, epochs=2, resume=False, **model):
    cfg = digits_config(work_dir, resume=resume)
    cfg.model = config(**model)
    cfg.default_hooks.update(HOOKS)
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
    assert len(model.losses.contrastive.queue) == 20


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
    values = losses_of(model, two_views())
    assert values.keys() == {'contrastive', 'prediction'}


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
    model = build(
        losses=losses() | dict(contrastive=dict(CONTRASTIVE, queue_size=256))
    )
    model.losses.contrastive.eval()  # the queue takes its rows below
    teacher = torch.randn(512, 16)  # more than the heads can learn by heart
    student = teacher.clone() if related else torch.randn(512, 16)
    student.requires_grad_(True)
    heads = model.student_head, model.teacher_head
    predictor = model.losses.prediction.predictor
    parts = [*heads[0].parameters(), *predictor.parameters()]
    optimizer = torch.optim.Adam(parts, lr=0.02)
    queue = model.losses.contrastive.queue
    queue.enqueue(F.normalize(heads[1](torch.randn(512, 16))[:256]))
    values, gradients = [], []
    for _ in range(60):
        query, key = heads[0](student), heads[1](teacher).detach()
        if kind == 'contrastive':
            loss = model.losses.contrastive(query, key)
        else:
            loss = model.losses.prediction(query, key)
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


SLOW = dict(losses=losses(None), task_weight=0.0)

WEIGHTLESS = dict(CONTRASTIVE, loss_weight=0.0)

KD = dict(type='KDLoss')


@pytest.mark.parametrize(
    'options, said',
    [
        (SLOW, True),
        (SLOW | dict(losses=losses('slow_student')), True),
        (SLOW | dict(losses=losses() | dict(contrastive=WEIGHTLESS)), True),
        (SLOW | dict(task_weight=1.0), False),  # of Table 7
        (SLOW | dict(losses=losses(None, 'teacher')), False),
        (SLOW | dict(losses=losses(None, kd=KD)), False),
        (dict(task_weight=0.0), False),
    ],
)
def test_a_teacher_that_teaches_nothing(options, said, warned):
    model = build(**options)
    warn_if_untaught(model)
    assert ('nothing of the teacher' in warned()) == said
    values = losses_of(model, two_views())
    assert sum(values.values()).isfinite()


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('target', ['slow_student', 'other'])
@pytest.mark.parametrize('prediction', ['slow_student', None])
def test_other_levels_compare_one_image_with_any_target(
    symmetric, target, prediction
):
    """Equal networks agree on one image, and on no other."""
    model = build(
        losses=losses(
            prediction=prediction,
            same=dict(type='RKDLoss', level='feature', target=target),
            kd=dict(type='KDLoss', target=target),
        ),
        symmetric=symmetric,
        teachers=dict(other=dict(model=tiny_classifier())),
    )
    weights = model.student.state_dict()
    model.targets[target].model.load_state_dict(weights)
    result = losses_of(model.eval(), two_views())
    assert abs(result['kd']) < 1e-6
    assert abs(result['same']) < 1e-6
    assert result['contrastive'].isfinite()
