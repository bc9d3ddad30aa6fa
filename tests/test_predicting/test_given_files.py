import os
from pathlib import Path

import pytest

from mmdistill.predicting.given_files import find_pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ('b/deep/x.JPG', 'b/y.Png', 'a.webp', 'b/.hidden.png',
                 'b/notes.txt', '[odd].png'):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_at_any_depth_and_suffixes_in_any_case(folder):
    found = [os.path.relpath(p, folder) for p in find_pictures(folder)]
    assert found == ['[odd].png', 'a.webp', 'b/deep/x.JPG', 'b/y.Png']


def test_what_is_given_twice_is_taken_once(folder):
    assert find_pictures(['b/y.Png', 'b', Path('b'), folder / 'b']) == [
        'b/y.Png',
        'b/deep/x.JPG',
    ]


def test_patterns_and_names_that_look_like_patterns(folder):
    assert find_pictures('b/**/*') == ['b/deep/x.JPG', 'b/y.Png']
    assert find_pictures('[odd].png') == ['[odd].png']
    # a file that is named is believed
    assert find_pictures('b/notes.txt') == ['b/notes.txt']


def test_a_link_to_a_folder_above_ends(folder):
    (folder / 'b' / 'again').symlink_to(folder, target_is_directory=True)
    assert len(find_pictures('b')) == 4


@pytest.mark.parametrize(
    'inputs, said',
    [
        (['gone.png'], "'gone.png' does not exist"),
        (['b/*.bmp'], "'b/.*bmp' does not exist"),
        ([], 'there is no input'),
    ],
)
def test_what_is_not_there(folder, inputs, said):
    with pytest.raises(FileNotFoundError, match=said):
        find_pictures(inputs)
    (folder / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match="'empty' has no picture"):
        find_pictures(['b', 'empty'])
