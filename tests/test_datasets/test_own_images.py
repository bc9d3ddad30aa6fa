"""A user's images as a dataset: kinds of files, lists, errors."""

import numpy as np
import pytest
from picture_folders import class_folders, picture
from PIL import Image

from mmdistill.datasets import OwnImages, dataset_labels
from mmdistill.datasets.transforms.loading import UnreadableFile

LOAD = [dict(type='LoadImageFromFile')]


def test_class_folders_nested_and_in_any_case(tmp_path):
    class_folders(tmp_path, 2, 2)
    deep = tmp_path / 'color_1' / 'more'
    deep.mkdir()
    picture().save(deep / 'X.JPG')
    dataset = OwnImages(str(tmp_path))
    assert dataset.CLASSES == ('color_0', 'color_1')
    assert dataset_labels(dataset).tolist() == [0, 0, 1, 1, 1]


def test_a_list_with_names_of_classes(tmp_path):
    class_folders(tmp_path, 2, 2)
    path = tmp_path / 'list.csv'
    path.write_text('color_1/0.jpg,b\ncolor_0/0.jpg,a\ncolor_0/1.jpg,\n')
    dataset = OwnImages(str(tmp_path), ann_file='list.csv')
    assert dataset.CLASSES == ('a', 'b')
    assert dataset_labels(dataset).tolist() == [1, 0, -1]
    given = dict(classes=['c', 'b', 'a'])
    dataset = OwnImages(str(tmp_path), ann_file='list.csv', metainfo=given)
    assert dataset_labels(dataset).tolist() == [1, 2, -1]
    with pytest.raises(ValueError, match=r'has the classes \[a\]'):
        OwnImages(
            str(tmp_path),
            ann_file='list.csv',
            metainfo=dict(classes=['b', 'c']),
        )
    plain = OwnImages(str(tmp_path), ann_file='list.csv', with_label=False)
    assert 'gt_label' not in plain.get_data_info(0)


def test_what_is_refused(tmp_path):
    class_folders(tmp_path, 1, 2)
    with pytest.raises(ValueError, match='takes two'):
        OwnImages(str(tmp_path))
    assert len(OwnImages(str(tmp_path), with_label=False)) == 2
    with pytest.raises(FileNotFoundError, match='set data_root'):
        OwnImages(str(tmp_path / 'none'))
    (tmp_path / 'list.csv').write_text('gone.jpg,a\ncolor_0/0.jpg,b\n')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images.*gone\.jpg'):
        OwnImages(str(tmp_path), ann_file='list.csv')
    class_folders(tmp_path, 2, 2)
    with pytest.raises(ValueError, match=r'only there are \[color_1\]'):
        OwnImages(str(tmp_path), metainfo=dict(classes=['color_0', 'x']))


def test_an_unreadable_file_is_named(tmp_path):
    class_folders(tmp_path, 2, 1)
    bad = tmp_path / 'color_1' / '0.jpg'
    bad.write_bytes(b'')
    dataset = OwnImages(str(tmp_path), pipeline=LOAD)
    dataset[0]
    with pytest.raises(UnreadableFile, match=r'color_1/0\.jpg.*empty'):
        dataset[1]


def kinds():
    red = Image.new('RGB', (9, 9), (200, 40, 0))
    gray = np.full((9, 9), 40000, np.uint16)
    turned = Image.new('RGB', (12, 9), (200, 40, 0))
    exif = turned.getexif()
    exif[274] = 6  # turn by 90 degrees
    clear = red.convert('RGBA')
    clear.putalpha(128)
    return [
        ('rgb.png', red, {}, (200, 40, 0), (9, 9)),
        ('rgba.png', clear, {}, (200, 40, 0), (9, 9)),
        ('palette.png', red.convert('P'), {}, (204, 51, 0), (9, 9)),
        ('gray.png', red.convert('L'), {}, (83, 83, 83), (9, 9)),
        ('deep.png', Image.fromarray(gray), {}, (156, 156, 156), (9, 9)),
        ('deep.tif', Image.fromarray(gray), {}, (156, 156, 156), (9, 9)),
        ('webp.webp', red, dict(lossless=True), (200, 40, 0), (9, 9)),
        ('turned.png', turned, dict(exif=exif), (200, 40, 0), (12, 9)),
    ]


@pytest.mark.parametrize('kind', kinds(), ids=lambda kind: kind[0])
def test_every_kind_becomes_eight_bits_of_three_colors(tmp_path, kind):
    name, image, options, color, shape = kind
    image.save(tmp_path / name, **options)
    dataset = OwnImages(str(tmp_path), with_label=False, pipeline=LOAD)
    pixels = dataset[0]['img'][..., ::-1]  # MMPretrain's order is BGR
    assert pixels.dtype == np.uint8
    assert pixels.shape == (*shape, 3)
    assert np.abs(pixels[4, 4].astype(int) - color).max() <= 1
