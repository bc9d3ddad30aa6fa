"""k-NN of a run's teacher, of its full checkpoint, as a user tests it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.checkpoints import CheckpointError, load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS

DIGITS = Path(__file__).parents[2] / 'configs' / 'ssl_digits'
SHORT = ('train_cfg.max_epochs=1', 'log_level=WARNING')
TEACHER = ('--cfg-options', 'test_cfg.part=teacher')


@pytest.fixture
def knn(main, tmp_path, monkeypatch):
    """The metrics that tools/test.py finds for a config and a file."""
    monkeypatch.chdir(tmp_path)

    def call(config, file, *options):
        main('test', config, file, '--out', 'knn.json', '--out-item',
             'metrics', '--work-dir', 'tested', *options)  # fmt: skip
        return json.loads(Path('knn.json').read_text())

    return call


def alone(config, part, state):
    """k-NN of one network by itself, with the weights of that part."""
    cfg = Config.fromfile(config)
    cfg.model = cfg[part].copy()
    cfg.model.data_preprocessor = dict(mean=[73.2], std=[90.24])
    cfg.update(work_dir='alone', train_dataloader=None, train_cfg=None,
               optim_wrapper=None, param_scheduler=None, default_hooks={},
               experiment_name='alone', log_level='WARNING')  # fmt: skip
    runner = DistillRunner.from_cfg(cfg)
    runner.model.load_state_dict(state)
    return runner.test()


def below(state, part):
    prefix = f'{part}.'
    return {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix)
    }


@pytest.mark.parametrize(
    'name, network', [('student_dino', 'student'), ('oss', 'teacher')]
)
def test_a_teacher_that_learnt(main, knn, name, network):
    config = DIGITS / f'{name}.py'
    main('train', config, '--work-dir', 'run', '--cfg-options', *SHORT)
    full = load_file('run/epoch_1.pth')['state_dict']
    # a teacher that nobody could take for the student
    for key, value in full.items():
        if key.startswith('teacher.') and key.endswith('conv1.weight'):
            value.normal_()
    torch.save(dict(state_dict=full), 'full.pth')

    of_student = knn(config, 'full.pth')
    of_teacher = knn(config, 'full.pth', *TEACHER)
    expected = alone(config, network, dict(
        below(full, 'teacher'),
        **{key: value for key, value in below(full, 'student').items()
           if network == 'teacher' and key.startswith('prototypes.')},
    ))  # fmt: skip
    assert {k.replace('top', 'teacher_top', 1): v
            for k, v in expected.items()} == of_teacher  # fmt: skip
    assert of_student == alone(config, 'student', below(full, 'student'))
    assert set(of_student.values()) != set(of_teacher.values())

    with pytest.raises(CheckpointError, match=r'test_cfg.part.*full checkp'):
        knn(config, 'run/student.pth', *TEACHER)
    Path('encoder.py').write_text(
        f"_base_ = ['{config}']\nmodel = dict(_base_.student, _delete_=True)\n"
    )
    with pytest.raises(ValueError, match=r"test_cfg.part='teacher'.*Encoder"):
        knn('encoder.py', 'run/student.pth', *TEACHER)


def test_a_config_that_does_not_test_by_k_nn(knn):
    config = DIGITS.parent / 'quickstart' / 'kd_digits.py'
    Path('any.pth').touch()
    with pytest.raises(ValueError, match=r"test_cfg.part='teacher'.*KNNTest"):
        knn(config, 'any.pth', *TEACHER)


def test_a_frozen_teacher_is_the_one_of_the_training(main, knn):
    config = DIGITS / 'protocpc.py'
    for seed in (0, 1):
        torch.manual_seed(seed)
        cfg = Config.fromfile(config).teacher.to_dict()
        model = MODELS.build(cfg)
        torch.save(dict(state_dict=model.state_dict()), f'teacher_{seed}.pth')
    teacher = 'model.teacher_ckpt=teacher_0.pth'
    main('train', config, '--work-dir', 'run', '--cfg-options', *SHORT,
         teacher)  # fmt: skip

    found = knn(config, 'run/epoch_1.pth', *TEACHER, teacher)
    state = load_file('teacher_0.pth')['state_dict']
    expected = alone(config, 'teacher', state)
    assert list(found.values()) == list(expected.values())
    assert found == knn(config, 'run/student.pth', *TEACHER, teacher)
    with pytest.raises(CheckpointError, match='another teacher.*teacher_1'):
        knn(config, 'run/epoch_1.pth', *TEACHER, teacher.replace('0', '1'))
    with pytest.raises(FileNotFoundError, match='model.teacher_ckpt'):
        knn(config, 'run/epoch_1.pth', *TEACHER)
