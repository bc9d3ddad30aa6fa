"""What a finding says."""

from mmdistill.engine.doctor.finding import (
    ConfigError,
    Finding,
    did_you_mean,
    did_you_mean_or_list,
)


def test_one_mistake_is_one_line_and_several_are_counted():
    one, two = Finding('a.b', 'is wrong'), Finding('c', 'is missing')
    assert str(ConfigError([one], 'x.py')) == 'a.b: is wrong'
    error = ConfigError([one, two], 'x.py')
    assert str(error).splitlines() == [
        'x.py has 2 mistakes',
        'a.b: is wrong',
        'c: is missing',
    ]
    assert error.findings == (one, two)


def test_near_names():
    known = ['SGD', 'Adam', 'AdamW']
    assert did_you_mean('sgd', known) == "; did you mean 'SGD'?"
    assert did_you_mean('lion', known) == ''
    losses = ['KDLoss', 'SoftKDLoss', 'KDQualityLoss']
    assert did_you_mean('KD', losses) == (
        "; did you mean 'KDLoss' or 'KDQualityLoss'?"
    )
    assert did_you_mean('KD', losses, cutoff=0.9) == ''
    assert did_you_mean_or_list('lion', known) == (
        "; it can be 'Adam', 'AdamW', 'SGD'"
    )
    assert did_you_mean_or_list('lion', map(str, range(13))) == ''
    assert did_you_mean_or_list('lion', []) == ''
