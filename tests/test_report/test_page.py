"""The page is one file, in which nothing of a run is taken for HTML."""

import base64
import io
import re

import numpy as np
from PIL import Image

from mmdistill.report.page import (
    Section,
    Table,
    drawn,
    new_figure,
    rendered,
    thumbnail,
)


def pictures(page):
    """The pictures of a page, as PIL reads them."""
    codes = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(x))) for x in codes]


def test_text_is_escaped():
    bad = '<script>alert(1)</script>'
    image = np.zeros((2, 3, 3), np.uint8)
    section = Section(
        bad, bad, [], [thumbnail(image, [bad])], [], [Table([bad], [[bad]])],
        bad,
    )  # fmt: skip
    page = rendered(bad, bad, [section])
    assert '<script' not in page and page.count('&lt;script&gt;') >= 8


def test_pictures_are_inside():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    section = Section('one', thumbnails=[thumbnail(image, ['a', 'b'])])
    section.groups = [[thumbnail(image, ['c']), thumbnail(image, ['d'])]]
    section.pictures = [drawn(new_figure()[0], 'a figure')]
    page = rendered('title', '', [section])
    figure, *small = pictures(page)
    assert len(small) == 3 and figure.width > 300
    for one in small:
        np.testing.assert_array_equal(np.asarray(one), image)
    assert 'a<br>b' in page and 'alt="a, b"' in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
