"""A target sees images in its own preprocessor's way."""

import pytest
import torch
from helpers import digits_batch
from offline_distiller import build


def test_own_teacher_preprocessor():
    model = build(teacher_preprocessor=dict(mean=[0.0], std=[1.0]))
    data = model.data_preprocessor(digits_batch(), True)
    raw = digits_batch()['inputs']
    torch.testing.assert_close(data['teacher_inputs'], raw)
    torch.testing.assert_close(data['inputs'], (raw - 120) / 60)
    got = model(**data, mode='loss')['kd']
    student = model.student((raw - 120) / 60)
    expected = model.losses['kd'](student, model.teacher(raw))
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match='batch_augments'):
        build(
            data_preprocessor=dict(
                num_classes=10,
                batch_augments=dict(augments=dict(type='Mixup', alpha=0.5)),
            ),
            teacher_preprocessor=dict(),
        )  # fmt: skip
