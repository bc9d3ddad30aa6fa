"""A run on one page."""

import pytest
import torch
from helpers import digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.engine.summary import shortened


def rows(runner, capsys):
    """What the page of a run says, by the name of the row."""
    runner.train()
    printed = capsys.readouterr().out
    page = printed[printed.index('\nversions') : printed.index('Epoch(train)')]
    found = {}
    for line in page.strip().splitlines():
        name, _, text = line.strip().partition('  ')
        found[name] = text.strip()
    return found


def test_a_distillation(tmp_path, capsys):
    teacher = tmp_path / 'teacher.pth'
    cfg = digits_config(tmp_path / 'run', log_level='INFO')
    cfg.model.task_weight = 0.5
    cfg.train_dataloader.dataset.labelled_per_class = 2
    cfg.train_dataloader.dataset.pop('indices')
    cfg.param_scheduler = dict(type='MultiStepLR', milestones=[1])
    runner = DistillRunner.from_cfg(cfg)
    torch.save(runner.model.teacher.state_dict(), teacher)
    cfg.model.teacher_ckpt = str(teacher)
    found = rows(DistillRunner.from_cfg(cfg), capsys)
    assert f'torch {torch.__version__}' in found['versions']
    assert found['config'] == 'not from a file, seed 0'
    assert found['device'] == '1 process, CPU, 1 thread'
    learn = sum(p.numel() for p in runner.model.student.parameters())
    assert f'{shortened(learn)} parameters' in found['student']
    assert found['teacher'].endswith(f'frozen, {teacher}')
    assert found['losses'] == 'task x 0.5, kd (KDLoss) x 1'
    assert 'training 898 (Digits, 10 classes, 20 labeled)' in found['data']
    assert 'validation 100' in found['data']
    assert found['batch'] == '32'
    assert found['optimizer'].startswith('SGD, lr 0.05')
    assert f'{shortened(learn)} parameters learn' in found['optimizer']
    assert found['schedule'] == (
        '2 epochs of 29 steps, validation every 1 epochs, MultiStepLR'
    )
    assert found['work folder'] == str(tmp_path / 'run')


def test_accumulated_batches_and_no_teacher(tmp_path, capsys):
    cfg = digits_config(tmp_path, log_level='INFO')
    cfg.model = tiny_classifier()
    cfg.optim_wrapper.accumulative_counts = 3
    found = rows(DistillRunner.from_cfg(cfg), capsys)
    assert found['batch'] == '32 x 3 accumulated = 96'
    assert 'losses' not in found and 'teacher' not in found
    assert found['model'].startswith('ImageClassifier with CIFARResNet')


def test_a_test(tmp_path, capsys):
    cfg = digits_config(tmp_path, log_level='INFO')
    DistillRunner.from_cfg(cfg).test()
    printed = capsys.readouterr().out
    assert 'test 100 (Digits' in printed and 'optimizer' not in printed


@pytest.mark.parametrize(
    ('count', 'text'),
    [(7, '7'), (5140, '5.14 k'), (11_200_000, '11.2 M'), (2 * 10**9, '2 G')],
)
def test_numbers_of_parameters(count, text):
    assert shortened(count) == text
