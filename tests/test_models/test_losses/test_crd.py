"""Contrastive representation distillation by the authors' numbers."""

import torch
from helpers import relative_error

from mmdistill.models.losses import CRDLoss


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
