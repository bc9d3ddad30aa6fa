"""What a look at a user's images finds, mends and refuses."""

import os
import shutil

import pytest
from picture_folders import class_folders, picture
from PIL import Image

from mmdistill.datasets.list_file import Row
from mmdistill.datasets.own_data import DataError, look_at


def test_only_class_folders_are_split(tmp_path):
    found = look_at(class_folders(tmp_path))
    assert found.classes == ('color_0', 'color_1', 'color_2')
    assert (len(found.train), len(found.val)) == (24, 6)
    assert found.root == tmp_path
    assert found.side == 32
    assert 'seed 0' in found.notes[-1]
    assert look_at(tmp_path).val == found.val
    assert look_at(tmp_path, seed=1).val != found.val


@pytest.mark.parametrize(
    'names', ['train val', 'Training test', 'train VALID']
)
def test_folders_of_training_and_validation(tmp_path, names):
    one, other = names.split()
    class_folders(tmp_path / one, images=4)
    class_folders(tmp_path / other, images=2)
    found = look_at(tmp_path)
    assert (len(found.train), len(found.val)) == (12, 6)
    assert found.val[0] == Row(f'{other}/color_0/0.jpg', 'color_0')
    assert 'too good' in found.notes[-1]  # the same pictures in both


def test_of_val_and_test_one_is_taken(tmp_path):
    for name in ('train', 'val', 'test'):
        class_folders(tmp_path / name, images=2)
    found = look_at(tmp_path)
    assert {row.path.partition('/')[0] for row in found.val} == {'val'}
    assert 'test/ is not used' in found.notes


def test_images_without_classes(tmp_path):
    (tmp_path / 'deep' / 'er').mkdir(parents=True)
    picture(0).save(tmp_path / 'a.jpg')
    picture(1).save(tmp_path / 'deep' / 'er' / 'B.PNG')
    found = look_at(tmp_path)
    assert found.classes is None
    assert [row.path for row in found.train] == ['a.jpg', 'deep/er/B.PNG']
    assert not found.val
    with pytest.raises(DataError, match='outside of class folders'):
        look_at(tmp_path, labels=True)
    class_folders(tmp_path / 'labeled')
    assert look_at(tmp_path / 'labeled', labels=False).classes is None


def test_a_list(tmp_path):
    class_folders(tmp_path, 2, 6)
    lines = [f'color_{k}/{i}.jpg,{k}' for k in (0, 1) for i in range(6)]
    (tmp_path / 'list.csv').write_text('\n'.join(lines))
    found = look_at(tmp_path / 'list.csv')
    assert found.classes == ('0', '1')
    assert (len(found.train), len(found.val)) == (10, 2)
    (tmp_path / 'list.csv').write_text('\n'.join([*lines, 'gone.jpg,0']))
    with pytest.raises(DataError, match=r'gone\.jpg'):
        look_at(tmp_path / 'list.csv')


def test_validation_images_of_their_own(tmp_path):
    data = class_folders(tmp_path / 'one')
    val = class_folders(tmp_path / 'two', images=2, suffix='.png')
    found = look_at(data, val)
    assert (len(found.train), len(found.val)) == (30, 6)
    assert found.root == tmp_path


def test_the_same_folder_twice(tmp_path):
    data = class_folders(tmp_path / 'one')
    for val in (data, data / 'color_0', tmp_path):
        with pytest.raises(DataError, match='share images'):
            look_at(data, val)
    os.symlink(data / 'color_0', data / 'again')
    with pytest.raises(DataError, match="'again' and 'color_0'"):
        look_at(data)
    both = tmp_path / 'both'
    class_folders(both / 'train')
    os.symlink(both / 'train', both / 'val')
    with pytest.raises(DataError, match='the same folder'):
        look_at(both)


def test_bad_images_are_left_out_and_named(tmp_path):
    class_folders(tmp_path)
    Image.new('RGB', (1, 1)).save(tmp_path / 'color_0' / 'tiny.png')
    (tmp_path / 'color_1' / 'broken.jpg').write_text('nothing')
    found = look_at(tmp_path)
    assert len(found.train) + len(found.val) == 30
    assert {path.name for path in found.skipped} == {'tiny.png', 'broken.jpg'}
    assert 'broken.jpg' in found.notes[0]


def test_many_bad_images_are_refused(tmp_path):
    class_folders(tmp_path, images=3)
    for i in range(2):
        (tmp_path / 'color_1' / f'broken{i}.jpg').write_text('nothing')
    with pytest.raises(DataError, match=r'2 of 11 images.*broken0\.jpg'):
        look_at(tmp_path)


def test_one_class(tmp_path):
    class_folders(tmp_path, classes=1)
    with pytest.raises(DataError, match='takes two.*--no-labels'):
        look_at(tmp_path)
    assert len(look_at(tmp_path, labels=False).train) == 10


def test_a_class_with_one_image_is_learned_and_said(tmp_path):
    class_folders(tmp_path)
    (tmp_path / 'rare').mkdir()
    picture(7).save(tmp_path / 'rare' / 'x.jpg')
    found = look_at(tmp_path)
    assert Row('rare/x.jpg', 'rare') in found.train
    assert any('one training image: rare' in note for note in found.notes)


def test_validation_with_other_classes(tmp_path):
    class_folders(tmp_path / 'train')
    class_folders(tmp_path / 'val', images=2)
    shutil.move(tmp_path / 'val' / 'color_2', tmp_path / 'val' / 'Color_2')
    with pytest.raises(DataError, match=r'\[Color_2\].*by name'):
        look_at(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match='no images at any depth'):
        look_at(tmp_path)
    with pytest.raises(FileNotFoundError, match='neither a folder nor a list'):
        look_at(tmp_path / 'none')


def test_pictures_of_trains_are_a_class(tmp_path):
    class_folders(tmp_path, classes=2)
    (tmp_path / 'color_0').rename(tmp_path / 'train')
    assert look_at(tmp_path).classes == ('color_1', 'train')
