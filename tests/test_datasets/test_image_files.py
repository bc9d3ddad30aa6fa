"""Which files are images, and which of them can be learned from."""

import pytest
from picture_folders import picture
from PIL import Image

from mmdistill.datasets.image_files import (
    examine,
    find_images,
    is_image_name,
)


@pytest.mark.parametrize(
    ('name', 'is_one'),
    [
        ('a.jpg', True),
        ('b/A.JPEG', True),
        ('c.PnG', True),
        ('d.tiff', True),
        ('e.webp', True),
        ('f.txt', False),
        ('.hidden.jpg', False),
        ('jpg', False),
    ],
)
def test_names_in_any_case(name, is_one):
    assert is_image_name(name) == is_one


def test_images_are_found_at_any_depth(tmp_path):
    for name in ('b.PNG', 'a/deep/er/c.Jpg', '.cache/x.jpg', 'a/readme.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture().save(path, 'PNG')
    found = [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)]
    assert found == ['a/deep/er/c.Jpg', 'b.PNG']


def test_what_is_wrong_is_said_of_each_file(tmp_path):
    good, cut, text = (tmp_path / f'{n}.jpg' for n in ('good', 'cut', 'text'))
    empty, tiny = tmp_path / 'empty.png', tmp_path / 'tiny.png'
    picture(size=(40, 20)).save(good)
    picture(size=(200, 200)).save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    text.write_text('no image')
    empty.touch()
    Image.new('RGB', (1, 1)).save(tiny)
    sizes, bad = examine([good, cut, text, empty, tiny])
    assert sizes == {good: (40, 20)}
    assert set(bad) == {cut, text, empty, tiny}
    assert 'empty' in bad[empty]
    assert '1 x 1' in bad[tiny]
    assert 'decoded' in bad[cut]
