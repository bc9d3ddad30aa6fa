"""What the doctor says of a config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Names that are listed where none is near.
_FEW = 12


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


def near_names(
    name: str, known: Iterable[str], cutoff: float = 0.6
) -> list[str]:
    """The nearest names, at most three, upper case or lower.

    If none is near, those that begin so: ``KDLoss`` for ``KD``.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    wanted = name.lower()
    near = difflib.get_close_matches(wanted, by_lower, 3, cutoff)
    if not near and len(name) > 1 and cutoff < 0.9:
        near = sorted((o for o in by_lower if o.startswith(wanted)), key=len)
    return [by_lower[other] for other in near[:3]]


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean 'x'?`` of the nearest names; '' without any."""
    near = near_names(name, known, cutoff)
    return f'; did you mean {" or ".join(map(repr, near))}?' if near else ''


def did_you_mean_or_list(
    name: str, known: Iterable[str], cutoff: float = 0.6
) -> str:
    """As `did_you_mean`; without any near name the known ones, if few."""
    known = sorted({*known})
    few = len(known) <= _FEW
    listed = f'; it can be {", ".join(map(repr, known))}' if known else ''
    return did_you_mean(name, known, cutoff) or listed * few
