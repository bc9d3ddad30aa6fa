"""Losses against numbers from the authors' own code (tests/golden)."""

import pytest
import torch
from helpers import relative_error

from mmdistill.models.losses import (
    ATLoss,
    CRDLoss,
    InfoNCELoss,
    KDLoss,
    ProtoCPCLoss,
    RKDLoss,
)


def test_kd(golden):
    g = golden('kd')
    student = g['student_logits'].requires_grad_()
    loss = KDLoss(temperature=4.0)(student, g['teacher_logits'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_logits']) < (
        golden.bound
    )


def test_at(golden):
    g = golden('at')
    student = [g[f'student_{i}'].requires_grad_() for i in range(3)]
    teacher = [g[f'teacher_{i}'] for i in range(3)]
    loss = ATLoss(power=2)(student, teacher)
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    for i, x in enumerate(student):
        error = relative_error(x.grad, g[f'grad_student_{i}'])
        assert error < golden.bound


def test_rkd(golden):
    g = golden('rkd')
    student = g['student_emb'].requires_grad_()
    loss = RKDLoss(distance_weight=25, angle_weight=50)(
        student, g['teacher_emb']
    )
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(student.grad, g['grad_student_emb']) < golden.bound


def test_rkd_parts(golden):
    g = golden('rkd')
    for part, weights in dict(distance=(1, 0), angle=(0, 1)).items():
        loss = RKDLoss(*weights)(g['student_emb'], g['teacher_emb'])
        assert relative_error(loss, g[f'loss_{part}']) < golden.bound


def test_infonce(golden):
    g = golden('moco_infonce')
    query = g['student_q'].requires_grad_()
    queue = g['queue_before']
    loss_module = InfoNCELoss(queue.shape[1], len(queue), temperature=0.07)
    loss_module.to(golden.dtype).queue.enqueue(queue)
    loss = loss_module(query, g['teacher_k'])
    loss.backward()
    assert relative_error(loss, g['loss']) < golden.bound
    assert relative_error(query.grad, g['grad_student_q']) < golden.bound
    rows = loss_module.queue.features
    assert relative_error(rows, g['queue_after']) < golden.bound


@pytest.mark.parametrize('assignment', ['sinkhorn', 'softmax'])
def test_protocpc(golden, assignment):
    g = golden('protocpc')
    prefix = 'softmax_' if assignment == 'softmax' else ''
    loss_module = ProtoCPCLoss(
        num_prototypes=10,
        student_temperature=0.1,
        teacher_temperature=0.04,
        prior_momentum=0.9,
        assignment=assignment,
    ).to(golden.dtype)
    for call in ('', 'call2_'):  # the prior goes on from the first call
        student = g[f'{call}student_zs'].clone().requires_grad_()
        teacher = g[f'{call}teacher_zt']
        target = loss_module.assign(teacher)
        loss = loss_module(student, teacher)
        loss.backward()
        expected = {
            name: g[f'{prefix}{call}{name}']
            for name in ('p_t', 'loss', 'grad_student_zs', 'prior_after')
        }
        assert relative_error(target, expected['p_t']) < golden.bound
        assert relative_error(loss, expected['loss']) < golden.bound
        error = relative_error(student.grad, expected['grad_student_zs'])
        assert error < golden.bound
        error = relative_error(
            loss_module.prior.value, expected['prior_after']
        )
        assert error < golden.bound


def test_protocpc_temperature_scale(golden):
    g = golden('protocpc')
    plain, scaled = (
        ProtoCPCLoss(10, 4.0, 4.0, scale_by_temperature=scale).to(golden.dtype)
        for scale in (False, True)
    )
    args = g['student_zs'], g['teacher_zt']
    torch.testing.assert_close(scaled(*args), 16 * plain(*args))


def test_crd(golden):
    g = golden('crd')
    loss_module = CRDLoss(
        student_dim=16,
        teacher_dim=24,
        embed_dim=12,
        num_samples=200,
        num_negatives=32,
        temperature=0.07,
        momentum=0.5,
    ).to(golden.dtype)
    sides = dict(s='student', t='teacher')
    banks = dict(
        memory_v1=loss_module.bank_student, memory_v2=loss_module.bank_teacher
    )
    with torch.no_grad():
        for short, side in sides.items():
            embed = getattr(loss_module, f'embed_{side}')
            embed.weight.copy_(g[f'embed_{short}_weight'])
            embed.bias.copy_(g[f'embed_{short}_bias'])
        for name, bank in banks.items():
            bank.features.copy_(g[f'{name}_before'])
    features = {
        side: g[f'{side}_feat'].requires_grad_() for side in sides.values()
    }
    loss = loss_module(
        **features, sample_idx=g['idx'], negatives=g['contrast_idx'][:, 1:]
    )
    for name, bank in banks.items():  # nothing moves before backward
        torch.testing.assert_close(bank.features, g[f'{name}_before'])
    loss.backward()

    assert relative_error(loss, g['loss']) < golden.bound
    for short, side in sides.items():
        error = relative_error(features[side].grad, g[f'grad_{side}_feat'])
        assert error < golden.bound
        embed = getattr(loss_module, f'embed_{side}')
        for kind in ('weight', 'bias'):
            error = relative_error(
                getattr(embed, kind).grad, g[f'grad_embed_{short}_{kind}']
            )
            assert error < golden.bound
    for name, bank in banks.items():
        error = relative_error(bank.features, g[f'{name}_after'])
        assert error < golden.bound
    normalisers = torch.stack([g['Z_v1'], g['Z_v2']])
    assert relative_error(loss_module.normalisers, normalisers) < golden.bound
