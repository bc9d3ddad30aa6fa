"""``tools/doctor.py``: all mistakes at once, and what is fine."""

import pytest


@pytest.fixture
def said(main, toy, capsys, tmp_path):
    """What it prints, and its exit code."""

    def call(lines='', *options):
        config = toy.folder / 'doctored.py'
        config.write_text(f"_base_ = './toy.py'\n{lines}\n")
        code = 0
        try:
            main('doctor', config, *options)
        except SystemExit as end:
            code = end.code
        return capsys.readouterr().out.splitlines(), code

    return call


def test_a_sound_config(said):
    lines, code = said('', '--processes', '3')
    assert code == 0
    assert lines[-1].endswith('doctored.py: 0 mistakes, 0 warnings')
    assert 'fine: train data: 24 samples, 3 classes (dark, grey, bri' in str(
        lines
    )
    assert any('4 samples x 3 processes = 12 an update' in x for x in lines)


def test_mistakes(said, toy):
    lines, code = said(
        "default_hooks = dict(mine=dict(type='EMAHok'))\n"
        "load_from = 'nowhere.pth'",
        '--cfg-options',
        'optim_wrapper.optimizer.momentun=0.1',
    )
    assert code == 1
    assert lines[-1].endswith('3 mistakes, 0 warnings')
    assert lines[0].startswith('error: optim_wrapper.optimizer.momentun')
    assert not (toy.folder / 'work_dirs' / 'doctored').exists()


def test_a_mistake_of_a_built_part(said):
    lines, code = said('model = dict(head=dict(num_classes=-1))')
    assert code == 1
    assert any(line.startswith('error: model: ') for line in lines)
    _, code = said('model = dict(head=dict(num_classes=-1))', '--quick')
    assert code == 0


def test_warnings_alone_are_no_failure(said):
    lines, code = said('auto_scale_lr = dict(base_batch_size=256)')
    assert code == 0
    assert lines[-1].endswith('0 mistakes, 1 warning')
