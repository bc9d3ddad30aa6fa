"""Values as a config has them."""

import pytest

from mmdistill.engine.python_text import Name, statement, subscripts, text_of


@pytest.mark.parametrize(
    'value',
    [
        dict(a=1, b=[1.5, None, 'x' * 60], c=dict(d=(1,), e=())),
        {'not-a-word': 1, 'other': [True]},
        [dict(type='A' * 30, scale=(1, 2), deep=[dict(k='v' * 40)])],
        "it's",
    ],
)
def test_it_is_read_as_it_was(value):
    text = text_of(value, 0)
    assert eval(text) == value
    assert max(map(len, text.splitlines())) < 80


def test_names_and_paths():
    assert statement('a', dict(b=Name('c'))) == 'a = dict(b=c)'
    assert subscripts('a.0.b') == "['a'][0]['b']"
