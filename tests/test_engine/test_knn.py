"""k-NN as a loop of real runs, and beside other validation."""

import json
import os

import numpy as np
import pytest
import torch
from helpers import DropTuple, digits_config, run_distributed, tiny_classifier

from mmdistill.checkpoints import load_file
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.knn.features import extract_features
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS

# The features of a dataset --------------------------------------------------
PACK = [dict(type='PackInputs')]


def loader(indices, **kwargs):
    cfg = dict(
        batch_size=7,
        num_workers=0,
        dataset=dict(type='Digits', indices=indices, pipeline=PACK),
        sampler=dict(type='DefaultSampler', shuffle=True, seed=3),
        **kwargs,
    )
    found = DistillRunner.build_dataloader(cfg)
    index_samples(found)
    return found


def test_features_are_the_pooled_ones_in_the_datasets_order():
    model = MODELS.build(tiny_classifier()).eval()
    shuffled = loader(20)
    found, labels = extract_features(model, shuffled, 20)
    items = [shuffled.dataset[i] for i in range(20)]
    images = torch.stack([item['inputs'] for item in items])
    expected = model.extract_feat(images.float())[0]
    torch.testing.assert_close(found, expected)
    expected = [int(item['data_samples'].gt_label) for item in items]
    assert labels.tolist() == expected


@pytest.mark.parametrize('missing', ['drop_last', 'feature'])
def test_incomplete_features(missing):
    cfg = tiny_classifier()
    if missing == 'feature':
        cfg.update(neck=None, head=None)
    model = MODELS.build(cfg).eval()
    batches = loader(30, drop_last=missing == 'drop_last')
    message = '2 of 30 samples .*drop_last=False|no feature .*neck'
    with pytest.raises(ValueError, match=message):
        extract_features(model, batches, 30)


# The loops ------------------------------------------------------------------
def bank(size=400, **kwargs):
    return dict(
        batch_size=100,
        num_workers=0,
        dataset=dict(type='Digits', indices=size, pipeline=PACK, **kwargs),
    )


def knn_config(work_dir, stage='val', **loop):
    loop = dict(bank_dataloader=bank(), k=(10, 20)) | loop
    kind = dict(val='KNNValLoop', test='KNNTestLoop')[stage]
    cfg = digits_config(work_dir)
    cfg[f'{stage}_cfg'] = dict(type=kind, **loop)
    cfg[f'{stage}_evaluator'] = []
    return cfg


def logged(work_dir):
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_validation_in_a_run(tmp_path):
    cfg = knn_config(tmp_path)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', save_best='knn/top1_k20'
    )
    cfg.custom_hooks = [dict(type='ExportStudentHook', metric='knn/top1_k20')]
    cfg.train_dataloader.dataset.indices = 800
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    names = [f'knn/top{top}_k{k}' for top in (1, 5) for k in (10, 20)]
    records = [r for r in logged(tmp_path) if 'knn/top1_k20' in r]
    assert [r['step'] for r in records] == [1, 2]
    for record in records:
        assert set(names) <= set(record)
        assert 60 < record['knn/top1_k20'] < record['knn/top5_k20'] <= 100
    best = max(r['knn/top1_k20'] for r in records)
    assert runner.message_hub.get_info('best_score') == best
    assert list(tmp_path.glob('best_knn_top1_k20_epoch_*.pth'))
    exported = load_file(tmp_path / 'student_best.pth')
    assert exported['meta']['score'] == best


def test_a_plain_classifier_is_tested(tmp_path):
    """Accuracy by hand, and modes and random states as before."""
    cfg = knn_config(tmp_path, 'test', k=(3,))
    cfg.model = dict(
        tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.model.train()
    runner.model.neck.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    metrics = runner.test()
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert runner.model.training and not runner.model.neck.training

    runner.model.eval()
    vectors = {}
    for name, split in dict(bank='train', query='test').items():
        batches = loader(400 if name == 'bank' else 100)
        batches.dataset.dataset = runner.build_dataloader(
            dict(bank(400 if name == 'bank' else 100, split=split),
                 sampler=dict(type='DefaultSampler'))
        ).dataset  # fmt: skip
        size = len(batches.dataset)
        vectors[name] = extract_features(runner.model, batches, size)
    expected = naive_accuracy(*vectors['query'], *vectors['bank'], k=3)
    assert metrics['knn/top1_k3'] == pytest.approx(expected)


def naive_accuracy(queries, truth, bank, labels, k):
    hits = 0
    for query, label in zip(queries, truth, strict=True):
        cosine = torch.nn.functional.cosine_similarity(query[None], bank)
        near = cosine.argsort(descending=True)[:k]
        votes = torch.zeros(10)
        for i in near:
            votes[labels[i]] += (cosine[i] / 0.07).exp()
        hits += int(votes.argmax() == label)
    return 100 * hits / len(truth)


def test_evaluator_is_computed_too(tmp_path):
    cfg = knn_config(tmp_path)
    cfg.val_evaluator = [dict(type='Accuracy', topk=1)]
    plain = digits_config(tmp_path)
    metrics = []
    for one in (cfg, plain):
        runner = DistillRunner.from_cfg(one)
        metrics.append(runner.val())
    assert set(metrics[1]) == {'accuracy/top1'}
    assert metrics[0]['accuracy/top1'] == metrics[1]['accuracy/top1']
    assert 'knn/top1_k10' in metrics[0]


def test_unlabeled_samples_do_not_vote(tmp_path):
    some = bank(None, labelled_per_class=3)
    alone = bank(None, labelled_per_class=3, drop_unlabelled=True)
    metrics = []
    for one in (some, alone):
        cfg = knn_config(tmp_path, bank_dataloader=one, k=(10, 30))
        metrics.append(DistillRunner.from_cfg(cfg).val())
    assert metrics[0] == metrics[1]
    cfg = knn_config(tmp_path, bank_dataloader=some, k=(31,))
    with pytest.raises(ValueError, match='bank, 30'):
        DistillRunner.from_cfg(cfg).val()


@pytest.mark.parametrize(
    'loop, message',
    [(dict(k=(401,)), 'bank, 400'),
     (dict(bank_dataloader=dict(
         bank(), sampler=dict(type='InfiniteSampler'))), 'never ends'),
     (dict(bank_dataloader=dict(bank(30), drop_last=True, batch_size=20)),
      '10 of 30 samples')])  # fmt: skip
def test_banks_that_do_not_do(tmp_path, loop, message):
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(knn_config(tmp_path, **loop)).val()


def share(rank, world, folder):
    """Features of a few digits, and the metrics of a test run."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(1)
    model = MODELS.build(tiny_classifier()).eval()
    found = extract_features(model, loader(29), 29)
    cfg = knn_config(
        folder, 'test', bank_dataloader=bank(333), k=(5,), chunk_size=17
    )
    cfg.test_dataloader.dataset.indices = 61
    if world > 1:
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None
        )
    return *found, DistillRunner.from_cfg(cfg).test()


def test_two_processes_equal_one(tmp_path):
    """With odd numbers, which make the sampler give a sample twice."""
    alone = share(0, 1, str(tmp_path))
    for found in run_distributed(share, 2, str(tmp_path)):
        np.testing.assert_allclose(found[0], alone[0], rtol=1e-5)
        np.testing.assert_array_equal(found[1], alone[1])
        assert found[2] == alone[2]


def test_a_frozen_teacher_sees_its_own_images(tmp_path):
    """Prepared by its own preprocessor, as it is in training."""
    cfg = knn_config(tmp_path, k=(20,), part='teacher')
    cfg.model.teacher_preprocessor = dict(mean=[20.0], std=[3.0])
    runner = DistillRunner.from_cfg(cfg)
    found = runner.val()
    alone = knn_config(tmp_path / 'alone', k=(20,))
    alone.model = dict(
        cfg.model.teacher, data_preprocessor=cfg.model.teacher_preprocessor
    )
    alone = DistillRunner.from_cfg(alone)
    alone.model.load_state_dict(runner.model.teacher.state_dict())
    assert list(found) == ['knn/teacher_top1_k20', 'knn/teacher_top5_k20']
    assert list(found.values()) == list(alone.val().values())


def test_a_slow_student_beside_a_teacher(tmp_path):
    cfg = knn_config(tmp_path, k=(20,), part='slow_student')
    cfg.model.update(type='CoCoRD', losses={}, queue_size=64)
    runner = DistillRunner.from_cfg(cfg)
    slow = runner.model.slow_student
    torch.nn.init.normal_(slow.backbone.conv1.weight)
    alone = knn_config(tmp_path / 'alone', k=(20,))
    alone.model = dict(
        cfg.model.student, data_preprocessor=cfg.model.data_preprocessor
    )
    alone = DistillRunner.from_cfg(alone)
    alone.model.load_state_dict(slow.state_dict())
    found = runner.val()
    assert 'knn/slow_student_top1_k20' in found
    assert list(found.values()) == list(alone.val().values())


@pytest.mark.parametrize('stage', ['val', 'test'])
@pytest.mark.parametrize('part', ['teacher', 'tutor'])
def test_a_part_that_the_model_does_not_have(tmp_path, stage, part):
    cfg = knn_config(tmp_path, stage, part=part)
    if part == 'teacher':
        cfg.model = dict(
            tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
        )
    run = getattr(DistillRunner.from_cfg(cfg), stage)
    named = f"{stage}_cfg.part='{part}' is no part of .*'student'.*full check"
    with pytest.raises(ValueError, match=named):
        run()


# The hook -------------------------------------------------------------------
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
