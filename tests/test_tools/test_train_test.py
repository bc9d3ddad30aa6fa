"""``tools/train.py`` and ``tools/test.py``, run as a user runs them."""

from __future__ import annotations

import json

import pytest
import torch

from mmdistill.checkpoints import CheckpointError


@pytest.fixture(scope='session')
def trained(toy):
    """A toy model after one epoch, in the folder of the config's name."""
    log = toy.train('toy.py', '--cfg-options', 'optim_wrapper.optimizer.lr=0')
    assert 'UserWarning' not in log
    return toy.folder / 'work_dirs' / 'toy' / 'epoch_1.pth'


@pytest.fixture
def accuracy(main, tmp_path):
    """What tools/test.py finds."""

    def call(*options):
        out = tmp_path / 'metrics.json'
        main('test', *options, '--out', out, '--out-item', 'metrics')
        return json.loads(out.read_text())['accuracy/top1']

    return call


def load(path):
    return torch.load(path, weights_only=False)


# Training -------------------------------------------------------------------
@pytest.mark.slow
def test_options_reach_the_config(toy, trained):
    [group] = load(trained)['optimizer']['param_groups']
    assert group['lr'] == 0


@pytest.mark.slow
def test_resume_goes_on_where_it_stopped(toy, trained):
    # The first start with --resume is a start, with the config's weights.
    options = ('--cfg-options', f'load_from={trained}')
    toy.train('toy.py', '--work-dir', 'again', '--resume', *options)
    first = load(toy.folder / 'again' / 'epoch_1.pth')
    assert first['meta']['iter'] == 6

    options += ('train_cfg.max_epochs=2',)
    log = toy.train(
        'toy.py', '--work-dir', 'again', '--resume', '--no-validate', *options
    )
    assert 'resumed epoch: 1, iter: 6' in log
    assert 'Epoch(val)' not in log
    assert load(toy.folder / 'again' / 'epoch_2.pth')['meta']['iter'] == 12


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (('nowhere.py',), FileNotFoundError, "the config 'nowhere.py'"),
        (('toy.py', '--amp'), ValueError, 'AMP needs a GPU'),
        (
            ('toy.py', '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper'),
            ValueError,
            "set optim_wrapper.type='OptimWrapper'",
        ),
        (('toy.py', '--auto-scale-lr'), ValueError, 'dict.base_batch_size='),
        (
            ('toy.py', '--work-dir', 'toy.py/in'),
            OSError,
            "'toy.py/in' .*choose another with --work-dir",
        ),
        (('toy.py', '--work-dir', 'toy.py'), OSError, "'toy.py' .File exists"),
        (
            ('toy.py', '--resume', 'no.pth'),
            FileNotFoundError,
            "--resume from 'no.pth' is not a file",
        ),
    ],
)
def test_wrong_commands_say_what_to_change(
    main, monkeypatch, options, error, message
):
    """Before anything is built: the runner is not even asked for."""
    training = 'mmdistill.engine.training'
    monkeypatch.setattr(f'{training}.build_runner', None)
    monkeypatch.setattr(f'{training}.get_device', lambda: 'cpu')
    with pytest.raises(error, match=message):
        main('train', *options)


@pytest.mark.slow
def test_the_last_line_is_the_message(toy):
    log = toy.train('nowhere.py', fails=True)
    last = log.strip().splitlines()[-1]
    assert last.startswith("error: the config 'nowhere.py'")


# Testing --------------------------------------------------------------------
@pytest.mark.slow
def test_accuracy_is_that_of_training(toy, trained, accuracy):
    log = (toy.folder / 'work_dirs' / 'toy').glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in next(log).read_text().splitlines()]
    expected = [row['accuracy/top1'] for row in rows if 'accuracy/top1' in row]
    dumped = (toy.folder / 'work_dirs' / 'toy' / 'toy.py').read_bytes()
    out = toy.folder / 'metrics.json'
    toy.test('toy.py', trained, '--out', out, '--out-item', 'metrics')
    found = json.loads(out.read_text())['accuracy/top1']
    assert found == pytest.approx(expected[-1])
    # the config of the training still lies beside it
    folder = toy.folder / 'work_dirs' / 'toy'
    assert (folder / 'toy.py').read_bytes() == dumped
    assert len([*folder.glob('*/toy.py')]) == 2  # of each run
    assert accuracy('toy.py', trained, '--tta', '--amp') <= 100


@pytest.mark.slow
def test_predictions_are_written(toy, trained, main):
    main('test', 'toy.py', trained, '--out', 'predictions.pkl')
    assert (toy.folder / 'predictions.pkl').stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize('exported', [False, True])
def test_a_distiller_takes_both_kinds_of_file(
    toy, trained, accuracy, exported
):
    """Its own checkpoint or the student's; the teacher's file is gone."""
    (toy.folder / 'distiller.py').write_text(
        "_base_ = 'toy.py'\n"
        "model = dict(_delete_=True, type='OfflineDistiller',\n"
        '    input_size=(1, 32, 32), student={{_base_.model}},\n'
        "    teacher={{_base_.model}}, teacher_ckpt='gone.pth',\n"
        "    losses=dict(kd=dict(type='KDLoss')))\n"
    )
    checkpoint = load(trained)
    if not exported:
        state = checkpoint['state_dict']
        checkpoint = {'state_dict': {f'student.{k}': state[k] for k in state}}
    torch.save(checkpoint, toy.folder / 'either.pth')
    assert accuracy('distiller.py', 'either.pth') == accuracy(
        'toy.py', trained
    )


@pytest.mark.slow
def test_a_missing_or_misshapen_tensor_fails(toy, trained, main):
    checkpoint = load(trained)
    del checkpoint['state_dict']['head.fc.bias']
    torch.save(checkpoint, toy.folder / 'part.pth')
    log = toy.test('toy.py', 'part.pth', fails=True)
    assert "error: the checkpoint 'part.pth' does not fit" in log
    assert 'missing: head.fc.bias (3,)' in log
    assert 'Epoch(test)' not in log

    options = ('--cfg-options', 'model.head.num_classes=4')
    with pytest.raises(CheckpointError, match='mismatch for head.fc.weight'):
        main('test', 'toy.py', trained, *options)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (('nowhere.pth',), FileNotFoundError, "checkpoint 'nowhere.pth' is"),
        (('toy.py', '--out-item', 'metrics'), ValueError, 'give --out'),
        (('toy.py', '--out', 'a.json'), ValueError, 'end in .pkl or .pickle'),
        (('toy.py', '--show'), ValueError, 'default_hooks.visualization'),
    ],
)
def test_wrong_test_commands_say_what_to_change(
    main, monkeypatch, options, error, message
):
    monkeypatch.setattr('mmdistill.engine.run_config.build_runner', None)
    with pytest.raises(error, match=message):
        main('test', 'toy.py', *options)
