"""Similarity-preserving distillation by the authors and by hand."""

import torch
from loss_inputs import check_maps, maps

from mmdistill.models.losses import SPLoss


def test_sp_by_hand():
    """Other widths and sizes, nothing pooled, summed over maps."""
    student = maps((5, 3, 4, 4), (5, 7, 2, 2))
    teacher = maps((5, 6, 2, 2), (5, 2, 2, 2))
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        rows = []
        for x in (s, t):
            gram = [[(a * b).sum() for b in x] for a in x]
            gram = torch.stack([torch.stack(row) for row in gram])
            rows.append(gram / gram.square().sum(1, keepdim=True).sqrt())
        expected += (rows[0] - rows[1]).square().sum() / 25
    torch.testing.assert_close(SPLoss()(student, teacher), expected)


def test_sp(golden):
    check_maps(SPLoss(), golden('sp'), golden.bound)
