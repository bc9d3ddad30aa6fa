from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor


def as_list(views: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The views of a batch; a tensor is one view."""
    return [views] if isinstance(views, Tensor) else list(views)


def view_pairs(
    num_student: int, num_teacher: int, pairs: str, reduction: str
) -> tuple[list[tuple[int, int]], float]:
    """The (teacher view, student view) pairs, and the factor on their sum.

    Global views come first on both sides, so view i of the teacher and view i
    of the student are the same view.

    Args:
        num_student: number of the student's views.
        num_teacher: number of the teacher's views, at most num_student.
        pairs: 'cross' (all but a view with itself), 'all', or
            'same_and_local' (a global view with itself and with every local
            one).
        reduction: 'mean' (factor 1 / number of pairs) or 'sum' (factor 1).
    Raises:
        ValueError: for unknown names, or if no pair is left.
    """
    rules: dict[str, Callable[[int, int], bool]] = dict(
        cross=lambda t, s: t != s,
        all=lambda t, s: True,
        same_and_local=lambda t, s: t == s or s >= num_teacher,
    )
    if pairs not in rules or reduction not in ('mean', 'sum'):
        raise ValueError(
            f'pairs must be one of {sorted(rules)} and reduction one of '
            f"['mean', 'sum'], got {pairs!r} and {reduction!r}"
        )
    chosen = [
        (t, s)
        for t in range(num_teacher)
        for s in range(num_student)
        if rules[pairs](t, s)
    ]
    if not chosen:
        raise ValueError(
            f'got {num_teacher} teacher view(s) and {num_student} student '
            f'view(s), which leaves no pair with pairs={pairs!r}; add views '
            "to the pipeline or choose pairs='all'"
        )
    return chosen, 1 / len(chosen) if reduction == 'mean' else 1.0
