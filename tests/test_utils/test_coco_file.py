"""Annotation files that cannot be read, and what pycocotools prints."""

import json
import logging

import pytest

from mmdistill.utils.coco_file import (
    prints_to_log,
    read_coco,
    require_ann_file,
)


def test_a_file_is_read_without_a_word(tmp_path, capsys):
    path = tmp_path / 'annotations.json'
    parts = dict(
        images=[dict(id=3)],
        annotations=[dict(id=1, image_id=3, category_id=7)],
        categories=[dict(id=7, name='cat')],
    )
    path.write_text(json.dumps(parts))
    coco = read_coco(str(path))
    assert coco.getImgIds() == [3] and coco.getAnnIds(catIds=[7]) == [1]
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"images": ', 'is no JSON file'),
        ('{"images": []}', r"has no \['annotations', 'categories'\]"),
    ],
)
def test_other_files(tmp_path, content, message):
    path = tmp_path / 'annotations.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_coco(str(path))
    assert str(path) in str(error.value)


def test_a_missing_file_names_the_keys(tmp_path):
    with pytest.raises(FileNotFoundError, match='data_root and ann_file'):
        require_ann_file(str(tmp_path / 'nowhere.json'))


def test_prints_are_logged(capsys, warned):
    with prints_to_log(logging.WARNING):
        print('evaluated')
    assert 'evaluated' in warned() and not capsys.readouterr().out
