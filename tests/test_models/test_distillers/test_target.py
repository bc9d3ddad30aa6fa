"""Targets: what becomes of them, and what checkpoints tell of them."""

import pytest
import torch
from helpers import tiny_classifier

from mmdistill.models.distillers.target import (
    Role,
    Target,
    Targets,
    teacher_entries,
)
from mmdistill.registry import MODELS


def target(role=Role.FROZEN, **kwargs) -> Target:
    model = MODELS.build(tiny_classifier())
    return Target('teacher', model, role, (1, 8, 8), **kwargs)


def test_a_frozen_one_rests():
    frozen = target()
    assert frozen.is_frozen and not frozen.model.training
    assert not any(p.requires_grad for p in frozen.model.parameters())
    learning = target(Role.LEARNS)
    assert not learning.is_frozen and learning.model.training
    assert all(p.requires_grad for p in learning.model.parameters())


def test_its_file_is_read_when_it_is_there(tmp_path):
    path = tmp_path / 'teacher.pth'
    late = target(ckpt=str(path))
    assert not late.is_ready
    other = MODELS.build(tiny_classifier())
    meta = dict(dataset_meta=dict(classes=list('ab')))
    torch.save(dict(state_dict=other.state_dict(), meta=meta), path)
    late.prepare()
    assert late.is_ready and late.classes == ('a', 'b')
    early = target(ckpt=str(path))
    assert early.is_ready and early.fingerprint() == late.fingerprint()
    assert early.setting == 'model.teacher'


def test_a_random_teacher_is_warned_of(warned):
    Targets(teacher=target(setting_ckpt='model.teacher_ckpt')).prepare()
    assert 'model.teacher_ckpt is not set' in warned()
    assert 'the teacher is a random network' in warned()


def test_checkpoints_tell_frozen_ones_apart():
    first = Targets(teacher=target(), slow=target(Role.MOVED))
    meta = first.meta()
    assert (
        list(meta) == ['teacher_sha256'] and len(meta['teacher_sha256']) == 64
    )
    first.check_meta(meta)
    first.check_meta({})  # of a checkpoint that does not know
    other = Targets(teacher=target(setting_ckpt='model.teacher_ckpt'))
    with pytest.raises(
        ValueError, match=r'another teacher .*model\.teacher_ckpt, or start'
    ):
        other.check_meta(meta)


NONE = dict(model=None, ckpt=None)


def test_entries_of_one_and_of_several_teachers():
    small, large = dict(type='A'), dict(type='B')
    found = teacher_entries(dict(big=dict(model=large)), model=small, ckpt='x')
    assert found == dict(
        teacher=dict(
            model=small,
            ckpt='x',
            setting='model.teacher',
            setting_ckpt='model.teacher_ckpt',
            setting_preprocessor='model.teacher_preprocessor',
        ),
        big=dict(
            model=large,
            setting='model.teachers.big.model',
            setting_ckpt='model.teachers.big.ckpt',
            setting_preprocessor='model.teachers.big.preprocessor',
        ),
    )
    assert teacher_entries(None, **NONE) == {}


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (dict(ckpt='x'), r'model\.teachers\.big is dict\(model='),
        (dict(model={}, file='x'), r"got \['file'\] besides"),
        ('x.pth', "got 'x.pth'"),
    ],
)
def test_entries_that_are_none(entry, message):
    with pytest.raises(ValueError, match=message):
        teacher_entries(dict(big=entry), **NONE)


def test_two_teachers_of_one_name():
    with pytest.raises(ValueError, match=r'teachers\.teacher and model\.tea'):
        teacher_entries(dict(teacher=dict(model={})), model={}, ckpt=None)
