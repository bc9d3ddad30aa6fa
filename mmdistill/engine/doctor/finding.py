"""What the doctor says of a config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a config, or may be.

    Attributes:
        key: where, as ``model.losses.kd.temprature``.
        text: what is there, what was expected, what to change.
        is_error: whether a run would fail or mislead; else it is a warning.
    """

    key: str
    text: str
    is_error: bool = True

    def __str__(self) -> str:
        return f'{self.key}: {self.text}'


class ConfigError(ValueError):
    """A config with mistakes; the message has one line for each.

    Args:
        findings: the mistakes, at least one.
        where: what messages call the config; its path.
    """

    def __init__(self, findings: Sequence[Finding], where: str) -> None:
        self.findings = tuple(findings)
        lines = [str(finding) for finding in findings]
        if len(lines) > 1:
            lines.insert(0, f'{where} has {len(lines)} mistakes')
        super().__init__('\n'.join(lines))


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``did you mean 'x'?`` of the nearest names, upper case or lower.

    Without any near name, the known ones if they are few, else nothing.
    """
    known = sorted({*known})
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, 3, cutoff)
    if near:
        names = ' or '.join(repr(by_lower[other]) for other in near)
        return f'did you mean {names}?'
    if 0 < len(known) <= 12:
        return f'it can be {", ".join(map(repr, known))}'
    return ''
