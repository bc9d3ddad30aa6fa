"""Losses are built to fit the models, or say what these lack."""

import pytest
import torch
from helpers import (
    tiny_classifier,
)
from offline_distiller import ALL, KD, TEACHER, VIT_TEACHER, build, train

from mmdistill.models import Representation
from mmdistill.models.distillers.loss_builder import LossInputs
from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS

MAPS_OF_BOTH = dict(student='stages', teacher=[1, 2])


@MODELS.register_module()
class RecordingLoss(DistillLoss):
    level = 'maps'

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    @classmethod
    def infer(cls, student, target):
        return dict(channels=(student.channels, target.channels))

    def forward(self, student, teacher):
        self.seen = [[tuple(x.shape) for x in s] for s in (student, teacher)]
        return student[0].sum()


@pytest.mark.parametrize(
    'maps, numbers',
    [('stages', (1, 2, 3)), ('last', (3,)), ('all', (0, 1, 2, 3)),
     ([2], (2,)), ([-1, 0], (3, 0)), ((-2, 3), (2, 3))])  # fmt: skip
def test_which_maps_a_loss_gets(maps, numbers):
    model = build(dict(r=dict(type='RecordingLoss', maps=maps)))
    train(model, steps=1)
    widths = (4, 4, 8, 16), (8, 8, 8, 12)
    sizes = (8, 8, 4, 2)
    loss = model.losses['r']
    for channels, seen, width in zip(
        loss.channels, loss.seen, widths, strict=True
    ):
        assert channels == tuple(width[n] for n in numbers)
        assert seen == [(8, width[n], sizes[n], sizes[n]) for n in numbers]


def test_maps_may_differ_by_model():
    """What map losses between families need: the second against the third."""
    maps = dict(student=[2], teacher=[3])
    model = build(dict(r=dict(type='RecordingLoss', maps=maps)))
    train(model, steps=1)
    loss = model.losses['r']
    assert loss.channels == ((8,), (12,))
    assert loss.seen == [[(8, 8, 4, 4)], [(8, 12, 2, 2)]]
    maps = dict(student='stages', teacher=[1, 2, -1])
    model = build(dict(hint=dict(type='HintLoss', maps=maps)))
    train(model, steps=1)
    assert len(model.losses.hint.regressors) == 3


@pytest.mark.parametrize(
    'maps, message',
    [
        (dict(student=[2]), r"keys \['student', 'teacher'\]"),
        (dict(student=[2], techer=[2]), r"got \['student', 'techer'\]"),
        (dict(student=[2], teacher=[1, 2]), r'dict\(student=\[\.\.\.\]'),
        (dict(student=[9], teacher=[1]), 'the student .* gives'),
    ],
)
def test_maps_by_model_that_do_not_pair_are_refused(maps, message):
    with pytest.raises(ValueError, match=message):
        build(dict(at=dict(type='ATLoss', maps=maps)))


def test_losses_choose_different_maps():
    model = build(
        {
            'stem': dict(type='RecordingLoss', maps=[0]),
            'last': dict(type='RecordingLoss', maps='last'),
        }
    )
    train(model, steps=1)
    assert model.losses['stem'].seen[0] == [(8, 4, 8, 8)]
    assert model.losses['last'].seen[0] == [(8, 16, 2, 2)]


def test_widths_are_filled_in_and_can_be_given():
    crd = build(ALL).losses['crd']
    assert crd.embed_student.in_features == 16
    assert crd.embed_teacher.in_features == 12
    assert build(ALL).losses['protocpc'].prior.value.shape == (10,)
    wider = dict(r=dict(type='RecordingLoss', channels='given'))
    assert build(wider).losses['r'].channels == 'given'


@pytest.mark.parametrize(
    'kwargs, kind, message',
    [
        (dict(losses=dict(kd=dict(type='KDLos'))), KeyError, 'KDLoss'),
        (dict(losses=dict(kd=dict(type='Xyzzy'))), KeyError, 'custom_imports'),
        (dict(losses=dict(kd=dict(temperature=4))), ValueError, "'type'"),
        (dict(losses=dict(), task_weight=0), ValueError, 'nothing to learn'),
        (dict(losses=dict(task=KD)), ValueError, 'rename'),
        (dict(teacher=None), ValueError, r'has none; set model\.teacher'),
        (
            dict(losses={'items': KD}),
            ValueError,
            r"'items'.*rename it in model\.losses",
        ),
        (dict(losses={'k.d': KD}), ValueError, r"'k\.d'.*model\.losses"),
        *(
            (
                dict(teacher=None, teachers={name: dict(model=TEACHER)}),
                ValueError,
                rf'model\.teachers\.{name}.*choose another',
            )
            for name in ('items', 'forward', 'a.b')
        ),
        (
            dict(teacher=tiny_classifier(classes=7)),
            ValueError,
            'student gives 10 and the teacher 7',
        ),
        (
            dict(losses=dict(nce=dict(type='InfoNCELoss'))),
            ValueError,
            "'embedding'.*student.*does not have",
        ),
        (
            dict(losses=dict(kd=dict(KD, target='teachers'))),
            ValueError,
            "the target 'teachers'.*it has .*Did you mean 'teacher'",
        ),
        (
            dict(memories=dict(spare=dict(type='FeatureQueue', size=4))),
            ValueError,
            "names 'spare', which no loss of .*'kd'.* keeps",
        ),
        (
            dict(losses=dict(at=dict(type='ATLoss', maps=[0, 5]))),
            ValueError,
            r'\[5\].*gives \[0, 1, 2, 3\]',
        ),
        (
            dict(losses=dict(at=dict(type='ATLoss', maps=MAPS_OF_BOTH))),
            ValueError,
            r'\[1, 2, 3\] of the student and \[1, 2\] of the teacher',
        ),
        (
            dict(
                losses=dict(at=dict(type='ATLoss', maps=[0])),
                teacher=VIT_TEACHER,
            ),
            ValueError,
            'stem',
        ),
        (dict(input_size=(3, 32, 32)), ValueError, 'input_size'),
    ],
)
def test_bad_config(kwargs, kind, message):
    with pytest.raises(kind, match=message):
        build(**kwargs)


def test_a_loss_is_given_its_level():
    seen = Representation(
        maps=tuple(torch.full((1,), i) for i in (1, 2, 3)),
        feature=torch.ones(2, 3),
        logits=torch.zeros(2, 4),
    )
    rows = LossInputs('feature', 'teacher', dict(rows='slow_student'))
    assert rows.of('teacher', (1, 2, 3), seen) is seen.feature
    assert rows.models == {'teacher', 'slow_student'}
    maps = LossInputs('maps', 'teacher', maps=dict(teacher=(3, 1)))
    got = maps.of('teacher', (1, 2, 3), seen)
    assert [int(x) for x in got] == [3, 1]
    with pytest.raises(ValueError, match='zip'):
        maps.of('teacher', (1, 2), seen)
