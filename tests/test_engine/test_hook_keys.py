"""Hooks by key: what a config says, and what a run has."""

import pytest
from helpers import digits_config
from mmengine.hooks import EMAHook

from mmdistill.engine.hook_keys import by_key, type_of_key, wrong_keys
from mmdistill.engine.hooks import FiniteLossHook
from mmdistill.engine.runner import DistillRunner

COPY = dict(type='MomentumUpdateHook', source='student', target='teacher')


def names(runner):
    return [type(hook).__name__ for hook in runner.hooks]


def test_every_run_has_what_every_run_needs(tmp_path):
    cfg = digits_config(tmp_path)
    cfg.pop('default_hooks', None)
    cfg.pop('custom_hooks', None)
    found = names(DistillRunner.from_cfg(cfg))
    for name in ('ResumeStateHook', 'FiniteLossHook', 'ClassNamesHook'):
        assert found.count(name) == 1


def test_the_users_hooks_replace_none_of_ours(tmp_path):
    cfg = digits_config(tmp_path, custom_hooks=[dict(type='EMAHook')])
    runner = DistillRunner.from_cfg(cfg)
    assert {'EMAHook', 'ResumeStateHook', 'FiniteLossHook'} <= {*names(runner)}


def test_a_key_changes_one_number_and_none_takes_a_hook_out():
    hooks, _ = by_key(
        dict(
            finite_loss=dict(interval=7),
            resume_state=None,
            checkpoint=dict(interval=3),
            timer=None,
            teacher_check=None,
            slow_student=COPY,
        ),
        None,
    )
    assert hooks['finite_loss'] == dict(type=FiniteLossHook, interval=7)
    assert hooks['checkpoint'] == dict(type='CheckpointHook', interval=3)
    assert hooks['slow_student'] == COPY
    assert hooks['timer'] is None  # MMEngine drops it
    assert not {'resume_state', 'teacher_check'} & hooks.keys()


@pytest.mark.parametrize(
    'hooks, near',
    [
        (dict(finite_los=dict(interval=1)), 'finite_loss'),
        (dict(finite_los=None), 'finite_loss'),
        (dict(finit_loss=dict(type='FiniteLossHook')), 'finite_loss'),
        (dict(chekpoint=dict(interval=2)), 'checkpoint'),
        (dict(resume_stat=None), 'resume_state'),
    ],
)
def test_a_misspelt_key_is_an_error_that_names_the_near_ones(hooks, near):
    with pytest.raises(KeyError, match=f'did you mean.*{near}'):
        by_key(hooks, None)


def test_a_misspelt_key_of_a_method_names_the_methods_own():
    for keys in ({}, dict(slow_student=COPY)):
        hooks = dict(slow_studnet=dict(momentum=0.9), **keys)
        with pytest.raises(KeyError, match='did you mean slow_student'):
            by_key(hooks, None, dict(slow_student=COPY))


def test_a_key_without_type_that_is_nowhere_near_is_an_error_too():
    with pytest.raises(KeyError, match="there are .*'finite_loss'.*'teacher'"):
        by_key(dict(zzz=dict(momentum=0.9)), None, dict(teacher=COPY))


def test_configs_of_the_first_edition_run_with_a_warning(warned):
    old = [dict(type='ResumeStateHook'), dict(type='EMAHook'), 'teacher']
    hooks, of_user = by_key(None, old, dict(teacher=COPY))
    assert of_user == [dict(type='EMAHook')]
    assert hooks['teacher'] == COPY
    assert hooks['resume_state'] == dict(type='ResumeStateHook')
    assert 'default_hooks=dict(resume_state=' in warned()
    with pytest.raises(KeyError, match='method_hooks.*slow_student'):
        by_key(None, ['teacher'], dict(slow_student=COPY))


def test_hooks_that_are_built_are_taken_as_they_are():
    hook = EMAHook()
    hooks, of_user = by_key(dict(ema=hook), [hook])
    assert hooks['ema'] is hook and of_user == [hook]


def test_a_second_hook_of_a_type_stays_the_users():
    first, second = (dict(type='FreezeHook', interval=i) for i in (1, 5))
    often, seldom = (
        dict(type='CollapseMonitorHook', interval=i) for i in (1, 5)
    )
    hooks, of_user = by_key(None, [first, often, second, seldom])
    assert hooks['collapse_monitor'] == often
    assert of_user == [first, second, seldom]


def test_wrong_keys_are_all_told():
    given = dict(
        loger=dict(interval=1),
        chekpoint=None,
        finite_los=dict(type='FiniteLossHook'),
        slow_student=dict(momentum=0.9),
        mine=dict(type='EMAHook'),
        timer=None,
    )
    found = wrong_keys(given, None, dict(slow_student=COPY))
    # a method's hook is there only once the config takes it in
    assert {*found} == {'loger', 'chekpoint', 'finite_los', 'slow_student'}
    for key in given:
        if key in found:
            with pytest.raises(KeyError, match=f'default_hooks.{key}'):
                by_key({key: given[key]}, None)
        else:
            by_key({key: given[key]}, None)
    assert not wrong_keys(None, None)
    assert type_of_key('logger') == 'LoggerHook'
    assert type_of_key('mine') is None
