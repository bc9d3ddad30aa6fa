"""Teachers whose classes are to be those of the data."""

import shutil

import pytest
import torch
from picture_folders import class_folders

import mmdistill
from mmdistill.datasets.own_data import DataError, look_at
from mmdistill.engine.methods import get_method
from mmdistill.engine.own_teacher import fit_teacher, rows_of
from mmdistill.export import load_student

QUICK = dict(epochs=1, workers=0, options={'log_level': 'WARNING'})


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """Of four colors."""
    root = tmp_path_factory.mktemp('teacher')
    data = class_folders(root / 'data', 4, 8)
    made = mmdistill.distill(
        data, 'timm/resnet10t', None, 'task', root / 'run', size=32, **QUICK
    )
    return str(made.student)


def test_rows_are_found_by_name():
    known = ['tabby cat', 'Border-Collie', 'goldfish']
    assert rows_of(['border_collie', 'Tabby Cat'], known) == [1, 0]
    assert rows_of(['border_collie', 'wolf'], known) is None
    assert rows_of(['goldfish', 'Goldfish'], known) is None


def test_a_part_of_its_classes(teacher, tmp_path):
    data = class_folders(tmp_path / 'data', 4, 8)
    shutil.rmtree(data / 'color_1')
    (data / 'color_3').rename(data / 'COLOR_3')
    found, notes = look_at(data), []
    assert found.classes == ('COLOR_3', 'color_0', 'color_2')
    path = fit_teacher(teacher, found, get_method('kd'), tmp_path, notes)
    assert 'by name' in notes[0]
    whole, part = load_student(teacher).model, load_student(path).model
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        every = whole(images, mode='tensor')
        scores = part.head.fc(part.extract_feat(images)[-1])
        every = whole.head.fc(whole.extract_feat(images)[-1])
    assert torch.equal(scores, every[:, [3, 0, 2]])
    made = mmdistill.distill(
        data, 'timm/resnet10t', teacher, 'kd', tmp_path / 'kd', **QUICK
    )
    assert (tmp_path / 'kd' / 'teacher.pth').is_file()
    assert made.accuracy is not None


def test_other_classes(teacher, tmp_path):
    data = class_folders(tmp_path / 'data', 3, 8)
    (data / 'color_1').rename(data / 'blue')
    found = look_at(data)
    with pytest.raises(
        DataError, match=r'without \[blue\].*train_teacher.*at'
    ):
        fit_teacher(teacher, found, get_method('kd'), tmp_path, [])
    kept = fit_teacher(teacher, found, get_method('at'), tmp_path, [])
    assert kept == teacher
    mmdistill.distill(
        data, 'timm/resnet10t', teacher, 'at', tmp_path / 'at', **QUICK
    )


def test_a_random_teacher_is_refused(tmp_path):
    found = look_at(class_folders(tmp_path / 'data'))
    with pytest.raises(DataError, match='random network.*--train-teacher'):
        fit_teacher('cifar/resnet8', found, get_method('at'), tmp_path, [])
