"""Misspelt keys, and settings that differ."""

from pathlib import Path

import pytest

from mmdistill.engine.settings import differences, wrong_keys

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.mark.parametrize(
    'key, meant',
    [('train_dataloder', 'train_dataloader'), ('custom_hook', 'custom_hooks'),
     ('param_schedulers', 'param_scheduler'), ('optim_wraper', 'optim_wrap'),
     ('val_evaluators', 'val_evaluator'), ('default_hook', 'default_hooks')],
)  # fmt: skip
def test_a_misspelt_key_is_an_error(key, meant):
    wrong = wrong_keys(dict(model=dict(), **{key: 1}))
    assert [*wrong] == [key]
    assert f"did you mean '{meant}" in wrong[key]


def test_variables_of_ones_own_are_none():
    names = ('lr', 'method', 'student', 'mode', 'train_pipeline', 'epochs',
             'train_dataset', 'dataloader', 'img_norm_cfg')  # fmt: skip
    assert not wrong_keys(dict(model=dict(), **dict.fromkeys(names)))
    assert (
        "did you mean it by ['modle']" in wrong_keys(dict(modle={}))['model']
    )


def test_no_config_of_ours_is_refused():
    """Every top-level name of every file, leaf or base."""
    import ast

    names = set()
    for path in CONFIGS.rglob('*.py'):
        for line in ast.parse(path.read_text()).body:
            for target in getattr(line, 'targets', ()):
                names.add(getattr(target, 'id', 'model'))
    assert not wrong_keys(dict.fromkeys(names | {'model'}))


def test_differences():
    old = dict(a=(1, 2), b=dict(c=[], d=0.0), e={})
    assert differences(old, dict(a=[1, 2], b=dict(c=(), d=0.0), e={})) == {}
    assert differences(old, dict(a=[1, 3], b=dict(d=0), e=dict(f=1))) == {
        'a.1': (2, 3),
        'b.c': ([], '(not set)'),
        'b.d': (0.0, 0),
        'e': ({}, '(not set)'),
        'e.f': ('(not set)', 1),
    }
