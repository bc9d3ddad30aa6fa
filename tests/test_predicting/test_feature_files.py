import csv

import numpy as np
import pytest
from predicting_files import classifier, pictures, student_file

from mmdistill.predicting import embed_files, load


@pytest.fixture
def student(tmp_path):
    student_file(tmp_path / 'student.pth', classifier(), size=(16, 16))
    return tmp_path / 'student.pth'


def test_every_kind_of_file(tmp_path, student):
    folder = tmp_path / 'pictures'
    pictures(folder)
    features, paths = embed_files(student, folder, tmp_path / 'out.npz')
    assert paths == sorted(str(path) for path in folder.iterdir())
    np.testing.assert_allclose(
        features, load(student).embed(paths), rtol=1e-4, atol=1e-5
    )
    with np.load(tmp_path / 'out.npz') as file:
        np.testing.assert_array_equal(file['features'], features)
        assert file['paths'].tolist() == paths
    unit, _ = embed_files(
        student, folder, tmp_path / 'out.npy', normalize=True
    )
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / 'out.npy'), unit)
    embed_files(student, folder, tmp_path / 'out.csv')
    with (tmp_path / 'out.csv').open(newline='', encoding='utf-8') as file:
        head, *rows = csv.reader(file)
    assert head == ['path', *(f'f{i}' for i in range(16))]
    assert [row[0] for row in rows] == paths
    read = np.array([row[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(read, features)


def test_broken_pictures(tmp_path, student, warned):
    folder = tmp_path / 'pictures'
    pictures(folder)
    (folder / 'broken.png').touch()
    out = tmp_path / 'out.npz'
    with pytest.raises(ValueError, match='broken.png'):
        embed_files(student, folder, out)
    assert not out.exists()
    features, paths = embed_files(student, folder, out, skip_errors=True)
    assert len(features) == len(paths) == 13
    assert '1 of 14 pictures are left out' in warned()
    with pytest.raises(ValueError, match='none of 1 pictures could be read'):
        embed_files(student, folder / 'broken.png', out, skip_errors=True)


def test_a_file_of_another_kind(tmp_path, student):
    with pytest.raises(ValueError, match=r'should end in \.npz or'):
        embed_files(student, tmp_path, tmp_path / 'out.txt')
