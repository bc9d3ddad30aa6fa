"""Bars on a terminal, lines elsewhere, nothing for what is quick."""

import io
import time

import pytest

from mmdistill.utils import progress as module
from mmdistill.utils.progress import clock, progress, progress_bar, waiting


@pytest.fixture
def lines(monkeypatch):
    """What is logged, with a line every 20 ms."""
    said = []
    monkeypatch.setattr(module, 'INTERVAL', 0.02)
    monkeypatch.setattr(module, 'say', said.append)
    return said


def test_items_come_as_they_are():
    assert list(progress([3, 1, 2], 'numbers')) == [3, 1, 2]
    assert list(progress(iter('ab'), 'letters')) == ['a', 'b']


def test_lines_say_how_far_it_is_and_how_long_it_takes(lines):
    for _ in progress(range(4), 'images'):
        time.sleep(0.03)
    assert [line.split(',')[0] for line in lines] == [
        'images: 1/4',
        'images: 2/4',
        'images: 3/4',  # the last one is no news
    ]
    assert lines[0].endswith('0:00:00 to go')


def test_without_an_end_there_is_no_time_to_go(lines):
    with progress_bar('images', None) as advance:
        time.sleep(0.03)
        advance(7)
    assert lines == ['images: 7']


def test_what_is_quick_says_nothing(lines, monkeypatch):
    monkeypatch.setattr(module, 'INTERVAL', 10.0)
    list(progress(range(100), 'images'))
    with waiting('nothing'):
        pass
    assert not lines


def test_waiting_says_for_how_long(lines):
    with waiting('exporting'):
        time.sleep(0.05)
    assert lines and lines[0] == 'exporting … 0 s'


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(lines, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr('sys.stderr', terminal)
    monkeypatch.setenv('TERM', 'xterm')
    assert list(progress(range(3), 'images')) == [0, 1, 2]
    with waiting('exporting'):
        time.sleep(0.03)
    assert 'images' in terminal.getvalue()
    assert 'exporting' in terminal.getvalue() and not lines


def test_clock():
    assert clock(59.6) == '0:01:00'
    assert clock(3723) == '1:02:03'
