"""k-NN beside a validation."""

import os

import numpy as np
import pytest
import torch
from helpers import DropTuple, digits_config
from knn_runs import PACK, bank, knn_config, logged

from mmdistill.engine.runner import DistillRunner


def train(work_dir, hooks, by_epoch=True, **kwargs):
    cfg = digits_config(
        work_dir,
        custom_hooks=hooks,
        **{
            'model.student.backbone.depth': 8,
            'train_dataloader.num_workers': kwargs.pop('workers', 0),
        },
        **kwargs,
    )
    cfg.model.student.head.init_cfg = None
    if not by_epoch:
        cfg.train_cfg = dict(by_epoch=False, max_iters=5, val_interval=2)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    runner = DistillRunner.from_cfg(cfg)
    # dropout: what training draws matters
    runner.model.student.neck = torch.nn.Sequential(
        runner.model.student.neck, DropTuple()
    )
    runner.train()
    return runner


AUGMENTED = [dict(type='RandomCrop', crop_size=8, padding=1), *PACK]


@pytest.mark.parametrize('by_epoch, workers', [(True, 1), (False, 0)])
def test_hook_changes_nothing(tmp_path, by_epoch, workers):
    hook = dict(
        type='KNNHook',
        interval=2 if not by_epoch else 1,
        by_epoch=by_epoch,
        k=(5,),
        # even where the bank draws at random
        bank_dataloader=bank(60) | dict(num_workers=workers),
    )
    hook['bank_dataloader']['dataset']['pipeline'] = AUGMENTED
    states = []
    for name, hooks in dict(without=[], with_=[hook]).items():
        runner = train(tmp_path / name, hooks, by_epoch, workers=workers)
        states.append(runner.model.state_dict())
        states[-1]['draw'] = torch.rand(3)
        states[-1]['numpy'] = torch.tensor(np.random.rand(3))
    assert states[0].keys() == states[1].keys()
    different = [
        k for k in states[0] if not torch.equal(*(s[k] for s in states))
    ]
    assert not different
    steps = [r['step'] for r in logged(tmp_path / 'with_')
             if 'knn/top1_k5' in r]  # fmt: skip
    assert steps == ([1, 2] if by_epoch else [2, 4, 5])


def test_hook_reports_what_the_loop_does(tmp_path):
    hook = dict(type='KNNHook', interval=10, bank_dataloader=bank(), k=(20,))
    none = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    images = digits_config(tmp_path).val_dataloader
    runner = train(tmp_path, [dict(hook, val_dataloader=images)], **none)
    (record,) = (r for r in logged(tmp_path) if 'knn/top1_k20' in r)
    assert record['step'] == 2  # at the end, though 10 epochs never passed
    cfg = knn_config(tmp_path / 'loop', k=(20,))
    loop = DistillRunner.from_cfg(cfg)
    loop.model.student = runner.model.student
    assert loop.val() == pytest.approx(
        {name: value for name, value in record.items() if name != 'step'}
    )


def test_hook_reports_the_teacher_beside_the_student(tmp_path):
    hook = dict(type='KNNHook', bank_dataloader=bank(), k=(20,))
    runner = train(tmp_path, [hook, dict(hook, part='teacher')])
    student, teacher = (
        [r for r in logged(tmp_path) if f'knn/{part}top1_k20' in r]
        for part in ('', 'teacher_')
    )
    assert len(student) == len(teacher) == 1
    cfg = knn_config(tmp_path / 'loop', k=(20,))
    loop = DistillRunner.from_cfg(cfg)
    loop.model.student = runner.model.teacher
    expected = loop.val()['knn/top1_k20']
    assert teacher[0]['knn/teacher_top1_k20'] == pytest.approx(expected)
    assert student[0]['knn/top1_k20'] != pytest.approx(expected)


def test_hook_for_a_part_that_is_not_there(tmp_path):
    hook = dict(type='KNNHook', part='tutor', bank_dataloader=bank())
    with pytest.raises(ValueError, match="part='tutor'.*OfflineDistiller"):
        train(tmp_path, [hook])


def test_hook_for_a_teacher_that_is_none(tmp_path):
    hook = dict(type='KNNHook', part='teacher', bank_dataloader=bank())
    cfg = digits_config(tmp_path, custom_hooks=[hook])
    cfg.model = dict(
        type='OnlineDistiller',
        student=cfg.model.student,
        data_preprocessor=cfg.model.data_preprocessor,
        input_size=(1, 8, 8),
    )
    with pytest.raises(ValueError, match="part='teacher'.*OnlineDistiller"):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize('wrong', ['iterations', 'nothing to classify'])
def test_hook_that_would_never_work(tmp_path, wrong):
    kwargs = dict(by_epoch=False)
    if wrong != 'iterations':
        kwargs = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
    hook = dict(type='KNNHook', bank_dataloader=bank())
    with pytest.raises(ValueError, match='by_epoch=False|val_dataloader'):
        train(tmp_path, [hook], **kwargs)


def test_hook_in_a_test_run_does_nothing(tmp_path):
    hook = dict(type='KNNHook', bank_dataloader=dict(dataset='not built'))
    cfg = digits_config(tmp_path, custom_hooks=[hook])
    assert 'accuracy/top1' in DistillRunner.from_cfg(cfg).test()
    assert os.listdir(tmp_path)
