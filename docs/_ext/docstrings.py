"""Makes our docstrings reStructuredText.

They are written to be read in an editor: ``Config:`` and ``Example:`` are
code, and formulas have bars and underscores that mean nothing else.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_LITERAL = re.compile(r'(``.*?``|`[^`]*`)')
_SECTION = re.compile(r'(Config|Example|Shape):$')


def setup(app: Sphinx) -> dict:
    # Before napoleon, which takes the sections that are left.
    app.connect('autodoc-process-docstring', rewrite, priority=400)
    return dict(parallel_read_safe=True)


def rewrite(
    app: Sphinx,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    lines: list[str],
) -> None:
    """Sections of our own as rubrics, code among them as code."""
    lines[:] = joined(lines)
    result: list[str] = []
    is_text, indent = True, 0
    for number, line in enumerate(lines):
        found = _SECTION.match(line)
        if found:
            body = section_of(lines[number + 1 :])
            # Shapes are text, and so is an example that introduces its code.
            is_text = found[1] == 'Shape' or any(
                text.endswith('::') for text in body
            )
            indent = 4 if is_text else 0
            result += ['', f'.. rubric:: {found[1]}', '']
            result += [] if is_text else ['.. code-block:: python', '']
            continue
        if line and not line.startswith(' '):
            is_text, indent = True, 0
        result.append(escaped(line[indent:]) if is_text else line)
    lines[:] = result


def joined(lines: list[str]) -> list[str]:
    """Names of arguments that take more than a line are one line."""
    result: list[str] = []
    for line in lines:
        if result and re.fullmatch(r'    [\w, ]+,', result[-1]):
            result[-1] += f' {line.strip()}'
        else:
            result.append(line)
    return result


def section_of(lines: list[str]) -> list[str]:
    """The indented lines that a section begins with."""
    body = []
    for line in lines:
        if line and not line.startswith(' '):
            break
        body.append(line)
    return body


def escaped(line: str) -> str:
    """Bars and the like, outside of literals, are themselves."""
    parts = _LITERAL.split(line)
    for i in range(0, len(parts), 2):
        text = parts[i].replace('|', r'\|')
        text = re.sub(r'(?<=\w)_(?!\w)', r'\_', text)
        # "margin: m." is no list that begins with m.
        parts[i] = re.sub(r'(?<=: )(\w)\.$', r'\1\.', text)
    return ''.join(parts)
