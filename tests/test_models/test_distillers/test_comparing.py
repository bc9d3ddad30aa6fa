"""A step of two processes equals one process's with the joined batch."""

import numpy as np
import pytest
import torch
from helpers import digits_batch, run_distributed
from helpers import tiny_classifier as tiny
from torch.nn.parallel import DistributedDataParallel

from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

SMALL = dict(embed_dim=6, num_negatives=5)

SEED = dict(type='SEEDLoss', level='feature')

CASES = dict(
    crd=dict(losses=dict(a=dict(type='CRDLoss', **SMALL))),
    crd_queue=dict(
        losses=dict(a=dict(type='CRDLoss', embed_dim=6, queue_size=10))
    ),
    gckt=dict(losses=dict(a=dict(type='GCKTLoss', **SMALL))),
    wasserstein=dict(
        losses=dict(a=dict(type='GCKTLoss', form='wasserstein', **SMALL))
    ),
    wasserstein_queue=dict(
        losses=dict(
            a=dict(
                type='GCKTLoss', form='wasserstein', embed_dim=6, queue_size=10
            )
        )
    ),
    protocpc=dict(losses=dict(a=dict(type='ProtoCPCLoss'))),
    kd_sinkhorn=dict(
        losses=dict(a=dict(type='KDLoss', assignment='sinkhorn'))
    ),
    cocord=dict(
        type='CoCoRD',
        losses=dict(
            contrastive=dict(type='InfoNCELoss', queue_size=20),
            prediction=dict(
                type='PredictionLoss',
                target='slow_student',
                predictor=dict(type='PredictorHead'),
                loss_weight=4.0,
            ),
        ),
    ),
    # 16 rows a step, of two views: fewer and more than a queue keeps.
    seed_views=dict(losses=dict(a=dict(SEED, queue_size=10))),
    seed_views_long=dict(losses=dict(a=dict(SEED, queue_size=21))),
    compress_slow=dict(
        losses=dict(
            a=dict(
                type='CompRessLoss',
                level='feature',
                queue_size=10,
                rows_of='slow_student',
            )
        ),
        slow_student=True,
    ),
    ft=dict(
        losses=dict(a=dict(type='FTLoss', loss_weight=5.0)), phase='warmup'
    ),
    ft_main=dict(losses=dict(a=dict(type='FTLoss', loss_weight=5.0))),
    ab=dict(losses=dict(a=dict(type='ABLoss')), phase='warmup'),
    fsp=dict(losses=dict(a=dict(type='FSPLoss')), phase='warmup'),
)

TWO_VIEWS = 'cocord', 'seed_views', 'seed_views_long'


def two_steps(rank: int, world: int, name: str) -> dict:
    """Gradients and buffers after two steps on this process's share."""
    register_all_modules()
    torch.manual_seed(0)
    cfg = dict(CASES[name])
    phase = cfg.pop('phase', 'main')
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=tiny(),
            teacher=tiny(depth=14),
            input_size=(1, 8, 8),
            data_preprocessor=dict(mean=[120.0], std=[60.0]),
        )
        | cfg
    ).double()
    model.teacher.double()
    model.set_training_set(40, torch.arange(40) % 10)
    model.set_phase(phase)
    model.train()
    for module in model.modules():  # its statistics are each process's own
        if isinstance(module, torch.nn.modules.batchnorm._NormBase):
            module.eval()
    if name == 'compress_slow':  # no longer what the student is
        for parameter in model.slow_student.parameters():
            parameter.data *= 0.9
    for loss in model.losses.values():
        if hasattr(loss, 'bank_student'):  # all processes draw the same
            draw = torch.Generator().manual_seed(1)
            table = torch.randint(40, (40, 5), generator=draw)
            loss.bank_student.draw_negatives = lambda i, *_, t=table: t[i]
    ddp = model
    if world > 1:
        phased = name.startswith(('ft', 'ab', 'fsp'))
        ddp = DistributedDataParallel(model, find_unused_parameters=phased)
    for start in (0, 20):
        model.zero_grad()
        batch = digits_batch(8, start=start)
        for i, sample in enumerate(batch['data_samples']):
            sample.set_gt_label(min(i, 5))  # the shares differ in negatives
        share = slice(rank * 8 // world, (rank + 1) * 8 // world)
        inputs = batch['inputs'].double()
        views = [inputs[share], inputs.flip(3)[share]]
        data = dict(
            inputs=views if name in TWO_VIEWS else views[0],
            data_samples=batch['data_samples'][share],
        )
        sum(ddp(**data, mode='loss').values()).backward()
    grads = {
        name: p.grad
        for name, p in model.named_parameters()
        if p.grad is not None
    }
    return grads | dict(model.named_buffers())


def every_case(rank: int, world: int) -> dict:
    return {name: two_steps(rank, world, name) for name in CASES}


@pytest.fixture(scope='module')
def two():
    return run_distributed(every_case, 2)


@pytest.mark.parametrize('name', CASES)
def test_two_processes_equal_one(two, name):
    expected = two_steps(0, 1, name)
    assert any('student' in key for key in expected) or name == 'ft'
    for found in two:
        assert found[name].keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(
                found[name][key], value, rtol=1e-7, atol=1e-11, err_msg=key
            )
