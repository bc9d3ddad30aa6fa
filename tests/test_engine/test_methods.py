"""What methods need is read from their configs."""

import pytest

from mmdistill.engine.methods import (
    KINDS,
    get_method,
    method_names,
    names_where,
)


@pytest.mark.parametrize('name', method_names())
def test_every_method_is_of_a_kind(name):
    method = get_method(name)
    assert method.kind in KINDS
    assert isinstance(method.needs_labels, bool)


@pytest.mark.parametrize(
    ('names', 'kind'),
    [
        ('task', 'alone'),
        ('kd crd at ab cocord seed compress_2q protocpc wcord', 'teacher'),
        ('dml one mcl_okd mcl_okd_kd okddip peers_alone', 'peers'),
        ('dino swav swav_bs4096 oss off_kd_drop protocpc_ssl', 'self'),
    ],
)
def test_kinds(names, kind):
    assert {get_method(name).kind for name in names.split()} == {kind}


def test_what_some_need():
    needs = names_where(lambda m: m.needs_labels, ['kd', 'crd', 'dml', 'rkd'])
    assert needs == 'crd, dml'
    assert get_method('ab').has_warmup
    assert get_method('cocord').views == 2
    assert get_method('mcl_okd_kd').has_teacher
    assert not get_method('mcl_okd').has_teacher
    assert get_method('one').shares_stages
    assert get_method('seed').compares_heads
    assert get_method('kd').compares_scores
    assert not get_method('label_free_crd').needs_labels


def test_unknown_ones_have_near_names():
    with pytest.raises(ValueError, match="method='KDD'.*'kd'"):
        get_method('KDD')
