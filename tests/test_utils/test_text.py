"""Names in messages."""

from mmdistill.utils.text import shown


def test_the_first_few_names():
    assert shown([]) == ''
    assert shown([1, 'b']) == '1, b'
    assert shown('abcdef') == 'a, b, c, d, e, ...'
    assert shown('abcde', 5) == 'a, b, c, d, e'
