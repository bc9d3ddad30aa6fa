"""Lists of images: what users write, and what we write."""

import pytest

from mmdistill.datasets.list_file import (
    Row,
    class_names,
    read_list,
    write_list,
)


@pytest.mark.parametrize(
    'text',
    [
        'a.jpg,cat\nb/c.PNG,dog\nd.jpg,\n',
        'path,label\na.jpg,cat\nb/c.PNG,dog\nd.jpg,-1\n',
        'a.jpg\tcat\nb/c.PNG\tdog\n\nd.jpg\t-1\n',
        'a.jpg cat\nb/c.PNG dog\nd.jpg\n',
        '\ufeffimage,label\r\na.jpg,cat\r\n"b/c.PNG",dog\r\nd.jpg,\r\n',
    ],
)
def test_the_ways_to_write_one(tmp_path, text):
    path = tmp_path / 'list.csv'
    path.write_text(text, 'utf-8')
    assert read_list(path) == [
        Row('a.jpg', 'cat'),
        Row('b/c.PNG', 'dog'),
        Row('d.jpg', None),
    ]


def test_names_with_blanks_and_commas(tmp_path):
    rows = [Row('my cat, 1.jpg', 'a cat'), Row('x y.png', None)]
    write_list(tmp_path / 'list.csv', rows)
    assert read_list(tmp_path / 'list.csv') == rows


def test_a_line_that_is_none_is_named(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.jpg 1\nb.jpg,1,2\n')
    with pytest.raises(ValueError, match=r'line 2 .*b\.jpg,1,2'):
        read_list(path)
    path.write_text('\n')
    with pytest.raises(ValueError, match='names no image'):
        read_list(path)
    with pytest.raises(FileNotFoundError, match='current folder'):
        read_list(tmp_path / 'none.csv')


def test_numbers_are_ordered_as_numbers():
    assert class_names(['10', '9', None, '0']) == ('0', '9', '10')
    assert class_names(['b', '10', 'a']) == ('10', 'a', 'b')
