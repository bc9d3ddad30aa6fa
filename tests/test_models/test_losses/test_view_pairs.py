"""Which views are compared, and the factor on their sum."""

import pytest
import torch

from mmdistill.models.losses.view_pairs import as_list, view_pairs


@pytest.mark.parametrize(
    ('rule', 'pairs'),
    [
        ('cross', [(0, 1), (0, 2), (1, 0), (1, 2)]),
        ('all', [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
        ('same_and_local', [(0, 0), (0, 2), (1, 1), (1, 2)]),
    ],
)
def test_pairs_of_teacher_and_student(rule, pairs):
    assert view_pairs(3, 2, rule, 'sum') == (pairs, 1.0)
    assert view_pairs(3, 2, rule, 'mean') == (pairs, 1 / len(pairs))


def test_one_view_is_compared_with_itself_or_not_at_all():
    assert view_pairs(1, 1, 'all', 'mean') == ([(0, 0)], 1.0)
    with pytest.raises(ValueError, match="no pair with pairs='cross'; add"):
        view_pairs(1, 1, 'cross', 'mean')


@pytest.mark.parametrize('wrong', [('some', 'mean'), ('all', 'max')])
def test_unknown_names(wrong):
    with pytest.raises(ValueError, match=f'got {wrong[0]!r} and {wrong[1]!r}'):
        view_pairs(2, 2, *wrong)


def test_a_tensor_is_one_view():
    view = torch.zeros(2, 3)
    assert as_list(view)[0] is view and len(as_list(view)) == 1
    assert len(as_list((view, view))) == 2
