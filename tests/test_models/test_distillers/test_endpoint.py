"""What a model can give to losses, and what each of them takes."""

import pytest
from helpers import tiny_classifier, tiny_encoder
from offline_distiller import VIT_TEACHER

from mmdistill.models import RepresentationReader
from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.registry import MODELS


def endpoint(cfg=None, with_maps=True) -> Endpoint:
    model = MODELS.build(cfg or tiny_classifier())
    reader = RepresentationReader(model, 'model.teacher')
    return Endpoint('teacher', reader, (1, 8, 8), with_maps)


def test_levels_and_widths_of_a_classifier():
    end = endpoint()
    assert end.levels() == ['maps', 'feature', 'logits']
    assert (end.width('feature'), end.width('logits')) == (16, 10)
    assert end.width('embedding') is None
    assert end.channels((3, 0)) == (16, 4)


def test_levels_and_widths_of_an_encoder():
    prototypes = dict(type='PrototypeHead', num_prototypes=5)
    end = endpoint(tiny_encoder(prototypes=prototypes), with_maps=False)
    assert end.levels() == ['maps', 'feature', 'embedding', 'logits']
    assert [end.width(x) for x in end.levels()[1:]] == [16, 6, 5]
    assert end.width_key() == 'model.teacher.prototypes.num_prototypes'


def test_the_key_of_a_classifiers_width():
    assert endpoint().width_key() == 'model.teacher.head.num_classes'


@pytest.mark.parametrize(
    ('choice', 'numbers'),
    [
        ('stages', (1, 2, 3)),
        ('last', (3,)),
        ('all', (0, 1, 2, 3)),
        ([2, 0], (2, 0)),
        ([-1, -4], (3, 0)),
    ],
)
def test_choices_of_maps(choice, numbers):
    assert endpoint().choose_maps(choice, 'losses.at') == numbers


@pytest.mark.parametrize(
    ('choice', 'message'),
    [
        ('first', r"losses\.at\.maps must be one of .*got 'first'"),
        ([1, 7], r'asks for \[7\], but the teacher .* gives \[0, 1, 2, 3\]'),
        ([-5], r'asks for \[-5\]'),
    ],
)
def test_maps_that_are_not_there(choice, message):
    with pytest.raises(ValueError, match=message):
        endpoint().choose_maps(choice, 'losses.at')


def test_a_model_without_a_stem_says_so():
    with pytest.raises(ValueError, match=r'\[0\] \(0 is the stem\)'):
        endpoint(VIT_TEACHER).choose_maps([0], 'losses.at')


def test_maps_before_the_activation():
    endpoint().require_pre_activation('losses.ab')
    with pytest.raises(
        ValueError, match='losses.ab .*teacher .VisionTransformer. cannot'
    ):
        endpoint(VIT_TEACHER).require_pre_activation('losses.ab')
