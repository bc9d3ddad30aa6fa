"""Students whose feature is mapped to the teacher's width."""

import pytest

from mmdistill.datasets.own_data import DataError
from mmdistill.engine.methods import get_method
from mmdistill.engine.own_encoder import level_of_features, mapped_to_teacher

STUDENT = dict(type='timm/mobilenetv3_small_050', num_classes=0)
TEACHER = dict(type='timm/resnet10t', pretrained=False)


def test_a_map_to_the_teachers_width():
    made = mapped_to_teacher(STUDENT, TEACHER, get_method('seed'), 64)
    assert made['type'] == 'SelfSupervisedEncoder'
    assert made['backbone']['network'] == STUDENT['type']
    assert made['neck']['in_channels'] == 1024
    assert made['neck']['out_channels'] == 512
    assert made['data_preprocessor']['to_rgb']


def test_what_needs_none():
    for method in ('regression', 'kd'):
        made = mapped_to_teacher(STUDENT, TEACHER, get_method(method), 64)
        assert made == STUDENT
    same = dict(TEACHER, num_classes=0)
    assert mapped_to_teacher(same, TEACHER, get_method('seed'), 64) == same


def test_a_student_that_cannot_be_mapped():
    student = dict(type='cifar/resnet8', num_classes=0)
    with pytest.raises(DataError, match='the student has 64 and the teacher'):
        mapped_to_teacher(student, TEACHER, get_method('seed'), 32)


def test_levels():
    found = level_of_features(get_method('seed'))
    assert found == {'model.losses.seed.level': 'feature'}
    assert level_of_features(get_method('compress_1q')) == {}
    assert level_of_features(get_method('infonce')) == {}
