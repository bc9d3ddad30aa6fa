"""Heads that make the embeddings of losses."""

import torch
from helpers import distiller, tiny_classifier

from mmdistill.models.distillers.projection import HeadedReader, add_heads
from mmdistill.registry import MODELS

HEAD = dict(type='ProjectionHead', hidden_dim=8, out_dim=6)


def test_a_reader_with_a_head_gives_an_embedding():
    model = MODELS.build(tiny_classifier()).eval()
    head = MODELS.build(dict(HEAD, in_dim=16)).train()
    reader = HeadedReader(model, 'model.student', head)
    dry, _ = reader.dry_run((1, 8, 8), False)
    assert dry.embedding.shape == (1, 6) and head.training
    head.eval()
    images = torch.rand(4, 1, 8, 8)
    seen = reader(images)
    torch.testing.assert_close(seen.embedding, head(seen.feature))
    first, second = reader.views([images, images.flip(3)])
    torch.testing.assert_close(first.embedding, seen.embedding)
    assert first.embedding.shape == second.embedding.shape


def with_heads(teacher):
    losses = dict(rkd=dict(type='RKDLoss', target='slow_student'))
    model = MODELS.build(
        distiller(
            'OfflineDistiller',
            teacher=teacher,
            losses=losses,
            slow_student=True,
        )
    )
    return model, add_heads(model, HEAD, (1, 8, 8))


def test_copies_of_the_students_head():
    model, apart = with_heads(tiny_classifier(depth=14))
    assert apart == ()
    own = model.student_head.state_dict()
    for copied in (model.teacher_head, model.slow_head):
        assert not any(p.requires_grad for p in copied.parameters())
        for name, value in copied.state_dict().items():
            assert torch.equal(value, own[name])
    assert all(p.requires_grad for p in model.student_head.parameters())


def test_a_wider_teacher_has_a_head_of_its_own():
    model, apart = with_heads(tiny_classifier(14, widths=(4, 4, 8, 24)))
    assert apart == ('teacher_head',)
    images = torch.rand(2, 1, 8, 8)
    for name in ('teacher', 'slow_student'):
        seen = model.targets[name].reader(images)
        assert seen.embedding.shape == (2, 6)
