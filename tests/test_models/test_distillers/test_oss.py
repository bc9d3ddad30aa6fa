"""A clustering teacher and its student, trained together."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    crops_config,
    digits_batch,
    distiller,
    run_distributed,
    trained,
)
from helpers import tiny_encoder as encoder

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import OSS
from mmdistill.ops import sinkhorn
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

PROTOTYPES = dict(type='PrototypeHead', num_prototypes=9)
DROP = dict(dropout=(0.1, 0.05))


def config(drop=True, **kwargs):
    rates = DROP if drop else {}
    cfg = dict(
        student=encoder(prototypes=PROTOTYPES, **rates),
        teacher=encoder(14, **rates),
        dropout_views=drop,
        queue_size=16,
    )
    return distiller('OSS', **cfg | kwargs)


def build(drop=True, **kwargs):
    torch.manual_seed(0)
    return MODELS.build(config(drop, **kwargs)).double()


def queues_of(model):
    return model.losses.clustering.queues


def crops(size=8, local=2, start=0):
    draw = torch.Generator().manual_seed(start)
    sizes = [8, 8] + [4] * local
    views = [
        torch.randn(size, 1, s, s, generator=draw).double() for s in sizes
    ]
    samples = digits_batch(size, start=start)['data_samples']
    return dict(inputs=views, data_samples=samples)


def swapped(scores, codes, rule):
    """Sum of the cross-entropies over the pairs that a rule keeps."""
    return sum(
        -(code * (view / 0.1).log_softmax(1)).sum(1).mean()
        for i, code in enumerate(codes)
        for v, view in enumerate(scores)
        if rule(i, v)
    )


def project(model, prototypes, views):
    features = [
        model.neck(model.backbone(torch.cat(group)))[-1]
        for group in (views[:2], views[2:])
    ]
    z = F.normalize(model.head(torch.cat(features)))
    return z.split(8), prototypes(z).split(8)


def test_equations_without_dropout():
    """L_T, L_S and L_D of eqs. 2, 4, 5 and 7, and the queue."""
    model = build(False, feature_classifier=dict(type='FeatureClassifier'))
    for module in model.modules():
        module.training = not isinstance(
            module, torch.nn.modules.batchnorm._NormBase
        )
    for step in range(4):
        data = crops(start=step)
        queues = [q.features.clone() for q in queues_of(model)]
        values = model(**data, mode='loss')
        prototypes = model.student.prototypes
        z, teacher = project(model.teacher, prototypes, data['inputs'])
        w, student = project(model.student, prototypes, data['inputs'])
        codes = []
        for i in range(2):
            rows = teacher[i]
            if len(queues[i]) == 16:  # full
                rows = torch.cat([rows, prototypes(queues[i])])
            codes.append(sinkhorn(rows.detach(), 0.05, 3)[:8])

        def cross(i, v):
            return i != v

        classify = model.losses.classifier.classifier
        expected = dict(
            teacher=swapped(teacher, codes, cross),
            student=swapped(student, codes, cross),
            classifier=sum(
                F.cross_entropy(classify(x), torch.full((8,), label))
                for label, side in enumerate((z[:2], w[:2]))
                for x in side
            ),
        )
        assert values.keys() == expected.keys()
        for name, value in values.items():
            torch.testing.assert_close(
                value, expected[name], rtol=1e-6, atol=1e-9
            )
        sum(values.values()).backward()
        for queue, rows in zip(queues_of(model), z, strict=False):
            latest = queue.ordered()[-8:]
            torch.testing.assert_close(latest, rows.detach())


def test_dropout_views_share_weights_and_codes_do_not_see_them():
    """Eq. 5: each dropped view is compared with both codes."""
    model = build(queue_size=0)
    model.eval()  # no dropout is drawn: a dropped view equals its view
    data = crops()
    values = model(**data, mode='loss')
    prototypes = model.student.prototypes
    _, teacher = project(model.teacher, prototypes, data['inputs'])
    codes = [sinkhorn(view.detach(), 0.05, 3) for view in teacher[:2]]
    views = [*teacher, *teacher]
    expected = swapped(views, codes, lambda i, v: i != v)
    torch.testing.assert_close(values['teacher'], expected, rtol=1e-6, atol=0)

    model.train()
    seen = []
    model.teacher.head[-1].register_forward_hook(
        lambda *args: seen.append(args[2].detach())
    )
    model(**data, mode='loss')
    assert len(seen) == 2 and not torch.equal(*seen)


def test_swav_alone():
    model = build(
        False, teacher=None, clustering=dict(reduction='mean'), queue_size=0
    )
    model.eval()
    data = crops()
    (value,) = model(**data, mode='loss').values()
    _, scores = project(
        model.student, model.student.prototypes, data['inputs']
    )
    codes = [sinkhorn(view.detach(), 0.05, 3) for view in scores[:2]]
    # the mean over the full crops of the mean over all other crops
    expected = swapped(scores, codes, lambda i, v: i != v) / 6
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)


def test_what_learns():
    model = build(feature_classifier=dict(type='FeatureClassifier')).train()
    sum(model(**crops(), mode='loss').values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    names = [n for n, _ in model.named_parameters() if 'prototypes' in n]
    assert names == ['student.prototypes.weight']  # shared, not copied


def test_the_classifier_confuses():
    """It learns to tell the two apart, they learn to be mistaken."""
    model = build(feature_classifier=dict(type='FeatureClassifier', alpha=2.0))
    model.eval()
    value = model(**crops(), mode='loss')['classifier']
    weight = model.teacher.head[-1].weight
    plain = build(feature_classifier=dict(type='FeatureClassifier', alpha=1.0))
    plain.load_state_dict(model.state_dict())
    plain.eval()
    (once,) = torch.autograd.grad(
        plain(**crops(), mode='loss')['classifier'],
        plain.teacher.head[-1].weight,
    )
    (twice,) = torch.autograd.grad(value, weight)
    torch.testing.assert_close(twice, 2 * once)


BAD = dict(
    prototypes=(dict(student=encoder(**DROP)), 'has none'),
    width=(dict(teacher=encoder(14, out_dim=5, **DROP)), 'one out_dim'),
    teacher_prototypes=(
        dict(teacher=encoder(14, prototypes=PROTOTYPES, **DROP)),
        'leave',
    ),
    dropout=(dict(teacher=encoder(14)), 'dropout_views=False'),
    prototype_norm=(dict(prototype_norm='none'), "got 'none'"),
    classifier=(
        dict(teacher=None, feature_classifier=dict(type='FeatureClassifier')),
        'leave it out',
    ),
)


@pytest.mark.parametrize('name', BAD)
def test_bad_configs(name):
    kwargs, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


def test_one_crop_is_refused():
    data = crops()
    data['inputs'] = data['inputs'][:1]
    with pytest.raises(ValueError, match='MultiCrop'):
        build()(**data, mode='loss')


def two_steps(rank, world):
    register_all_modules()
    model = build(feature_classifier=dict(type='FeatureClassifier'))
    model.eval()
    model.training = True  # memories move; BatchNorm and dropout do not
    for start in range(3):
        model.zero_grad()
        data = crops(start=start)
        share = slice(rank * 8 // world, (rank + 1) * 8 // world)
        data = dict(
            inputs=[view[share] for view in data['inputs']],
            data_samples=data['data_samples'][share],
        )
        sum(model(**data, mode='loss').values()).backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters()}
    queues = queues_of(model).named_buffers()
    return grads | {n: b.clone() for n, b in queues}


def test_two_processes_equal_one():
    expected = two_steps(0, 1)
    first, second = run_distributed(two_steps, 2)
    for key, value in expected.items():
        if key in dict(queues_of(build()).named_buffers()):
            np.testing.assert_allclose(first[key], value, atol=1e-12)
            np.testing.assert_array_equal(first[key], second[key])
        else:  # DDP would average
            mean = (first[key] + second[key]) / 2
            np.testing.assert_allclose(mean, value, rtol=1e-6, atol=1e-10)


HOOKS = dict(
    prototypes=dict(type='FreezeHook', module='student.prototypes', iters=4),
    queue=dict(type='QueueHook', start_epoch=1),
    export_student=dict(type='ExportStudentHook', metric='knn/top1_k20'),
)


def run(work_dir, epochs=2, resume=False, **model):
    cfg = crops_config(
        work_dir, config(**model), default_hooks=HOOKS, resume=resume
    )
    cfg.train_cfg.max_epochs = epochs
    return trained(cfg)


def test_real_run_resumes_exactly(tmp_path):
    kwargs = dict(feature_classifier=dict(type='FeatureClassifier'))
    whole = run(tmp_path / 'whole', **kwargs)
    assert isinstance(whole.model, OSS)
    assert [len(queue) for queue in queues_of(whole.model)] == [16, 16]
    run(tmp_path / 'parts', epochs=1, **kwargs)
    resumed = run(tmp_path / 'parts', resume=True, **kwargs)
    state = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, state[name]), name
    # the export is an encoder with the prototypes that it learnt with
    student = load_file(tmp_path / 'whole' / 'student.pth')
    assert 'prototypes.weight' in student['state_dict']


def test_a_fresh_run_in_an_old_folder_starts_with_empty_queues(tmp_path):
    run(tmp_path)
    runner = DistillRunner.from_cfg(run(tmp_path).cfg)
    assert [len(queue) for queue in queues_of(runner.model)] == [0, 0]


def authors_swav(network, prototypes, data, steps):
    """SwAV's loop: prototypes are set to length 1, then used as they are."""
    weight = torch.nn.Parameter(prototypes.weight.detach().clone())
    parameters = [*network.parameters(), weight]
    optimizer = torch.optim.SGD(parameters, lr=0.5, momentum=0.9)
    losses = []
    for step in range(steps):
        with torch.no_grad():
            weight.copy_(weight / weight.norm(dim=1, keepdim=True))
        views = data(step)['inputs']
        _, scores = project(network, lambda z: z @ weight.t(), views)
        codes = [sinkhorn(view.detach(), 0.05, 3) for view in scores[:2]]
        loss = swapped(scores, codes, lambda i, v: i != v) / 6
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize('norm', ['copy', 'graph'])
def test_prototypes_are_set_to_length_1_before_each_step(norm):
    """As in SwAV's loop; 'graph' is another method by 1e-3 and more."""
    given = {} if norm == 'copy' else dict(prototype_norm=norm)
    model = build(
        False,
        teacher=None,
        clustering=dict(reduction='mean'),
        queue_size=0,
        **given,
    )
    network = copy.deepcopy(model.student)
    network.prototypes = None
    expected = authors_swav(
        network, model.student.prototypes, lambda i: crops(start=i), 12
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    losses = []
    for step in range(12):
        (loss,) = model(**crops(start=step), mode='loss').values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    same = np.allclose(losses, expected, rtol=1e-9, atol=0)
    assert same == (norm == 'copy')
    # outside of training scores are cosines whatever the weights' lengths
    prototypes = model.eval().student.prototypes
    rows = F.normalize(prototypes.weight.detach())
    torch.testing.assert_close(
        prototypes(rows).diagonal(), torch.ones(9).double()
    )
