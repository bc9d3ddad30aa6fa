"""Few-shot tests of a run."""

import copy

import numpy as np
import pytest
import torch
from helpers import (
    digits_config,
    hits_one_by_one,
    run_distributed,
    stop_workers,
    tiny_classifier,
)
from mmengine.hooks import Hook

from mmdistill.checkpoints import load_file
from mmdistill.datasets import Digits, Episodes
from mmdistill.engine.knn.features import extract_features
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, HOOKS

# Runs -----------------------------------------------------------------------
PACK = [dict(type='PackInputs')]

EVALUATION = dict(way=5, shot=1, query=5, episodes=100)


@DATASETS.register_module()
class SomeDigits(Digits):
    """The digits of some classes."""

    def __init__(self, numbers, pipeline=PACK, **kwargs):
        self.numbers = numbers
        super().__init__(pipeline=pipeline, **kwargs)

    def load_data_list(self):
        samples = super().load_data_list()
        return [s for s in samples if s['gt_label'] in self.numbers]


def few_shot_config(work_dir, epochs=3, head=True, episodes=30, **evaluation):
    """Learn 0 to 4 in episodes, be tested on 5 to 9."""
    cfg = digits_config(work_dir)
    student = tiny_classifier(classes=5, widths=(8, 8, 16, 32))
    student.update(
        type='PrototypicalNetwork',
        neck=dict(type='FlattenNeck'),
        episode=dict(shot=1, query=5),
        data_preprocessor=cfg.model.data_preprocessor,
    )
    student['head']['in_channels'] = 128
    if not head:
        student.pop('head')
    cfg.model = student
    cfg.train_dataloader = dict(
        batch_size=5 * (1 + 5),
        num_workers=0,
        dataset=dict(type='SomeDigits', numbers=[0, 1, 2, 3, 4]),
        sampler=dict(
            type='EpisodeSampler', way=5, shot=1, query=5, episodes=episodes
        ),
    )
    cfg.optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.003))
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=epochs)
    for stage in ('val', 'test'):
        loop = f'Episode{stage.title()}Loop'
        cfg[f'{stage}_dataloader'].dataset = dict(
            type='SomeDigits', split='test', numbers=[5, 6, 7, 8, 9]
        )
        cfg[f'{stage}_cfg'] = dict(type=loop) | EVALUATION | evaluation
        cfg[f'{stage}_evaluator'] = []
    return cfg


def test_learns_to_tell_classes_apart(tmp_path):
    """And what validation, test and the exported student say agrees."""
    cfg = few_shot_config(tmp_path, head=False)
    cfg.val_dataloader.dataset.numbers = [0, 1, 2, 3, 4]
    before = DistillRunner.from_cfg(cfg).val()['episode/accuracy']
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', save_best='episode/accuracy'
    )
    cfg.custom_hooks = [
        dict(type='ResumeStateHook'),
        dict(type='ExportStudentHook', metric='episode/accuracy'),
    ]
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    # new images of the training's classes, and of classes it has not seen
    best = runner.message_hub.get_info('best_score')
    assert best > max(80, before + 15)
    found = runner.test()
    assert set(found) == {'episode/accuracy', 'episode/ci95'}
    assert found['episode/accuracy'] > 45  # 20 is chance
    assert 1 < found['episode/ci95'] < 4
    exported = load_file(tmp_path / 'student_best.pth')
    assert exported['meta']['score'] == best
    again = few_shot_config(tmp_path, head=False)
    again.load_from = str(tmp_path / 'student.pth')
    assert DistillRunner.from_cfg(again).test() == found


def as_distiller(cfg):
    """The same student, learning from a teacher, too (RKD-D)."""
    teacher = copy.deepcopy(cfg.model)
    teacher.type = 'ImageClassifier'
    for name in ('head', 'episode'):
        teacher.pop(name, None)
    cfg.model = dict(
        type='OfflineDistiller',
        student=cfg.model,
        teacher=teacher,
        losses=dict(rkd=dict(type='RKDLoss', angle_weight=0.0)),
        input_size=(1, 8, 8),
    )
    return cfg


def test_of_a_distiller_the_student_is_tested(tmp_path):
    cfg = as_distiller(few_shot_config(tmp_path, epochs=1, episodes=3))
    cfg.custom_hooks = [
        dict(type='ExportStudentHook', metric='episode/accuracy')
    ]
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    found = runner.test()
    for again in (
        few_shot_config(tmp_path),
        as_distiller(few_shot_config(tmp_path)),
    ):
        again.load_from = str(tmp_path / 'student.pth')
        assert DistillRunner.from_cfg(again).test() == found


@pytest.mark.parametrize(
    'mode', [dict(mode='network'), dict(mode='branch', cut=1)], ids=str
)
def test_peers_and_their_ensemble(tmp_path, mode):
    """The ensemble's score is the mean of the peers'."""
    cfg = few_shot_config(tmp_path, epochs=1, episodes=4)
    cfg.model = dict(
        type='OnlineDistiller',
        student=cfg.model,
        num_peers=3,
        losses=dict(dml=dict(type='DMLLoss')),
        input_size=(1, 8, 8),
        **mode,
    )
    cfg.custom_hooks = [
        dict(type='ExportStudentHook', metric='episode/accuracy')
    ]
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    found = runner.test()
    loop = runner.test_loop
    images = loop.dataloader.dataset
    model = runner.model.eval()
    with torch.no_grad():
        batch = torch.stack([images[i]['inputs'] for i in range(len(images))])
        data = model.data_preprocessor(dict(inputs=batch))
        peers, _ = model.group.read(data['inputs'])
    right = {f'peer_{i}': [] for i in (1, 2)} | dict(accuracy=[], ensemble=[])
    for key in range(loop.num_episodes):
        episode = loop.episodes.draw(loop.seed, key)
        scores = []
        for peer in peers:
            support = peer.feature[episode[:, : loop.shot]].mean(1)
            query = peer.feature[episode[:, loop.shot :]].flatten(0, 1)
            scores.append(-(torch.cdist(query, support) ** 2))
        scores.append(torch.stack(scores).mean(0))
        own = torch.arange(5).repeat_interleave(loop.query)
        names = ('peer_1', 'peer_2', 'accuracy', 'ensemble')
        for name, score in zip(names, scores, strict=True):
            right[name].append((score.argmax(1) == own).double().mean())
    for name, values in right.items():
        expected = 100 * torch.stack(values).mean()
        assert found[f'episode/{name}'] == pytest.approx(float(expected))
    assert len(found) == 8  # each with its interval
    cfg.load_from = str(tmp_path / 'student.pth')
    alone = DistillRunner.from_cfg(cfg).test()
    assert set(alone) == {'episode/accuracy', 'episode/ci95'}
    assert alone['episode/accuracy'] == found['episode/accuracy']


def test_every_image_goes_through_the_model_once(tmp_path):
    runner = DistillRunner.from_cfg(few_shot_config(tmp_path, episodes=2))
    seen = []
    runner.model.backbone.register_forward_pre_hook(
        lambda _, args: seen.append(len(args[0]))
    )
    runner.model.train()
    runner.model.neck.eval()
    state = torch.get_rng_state(), np.random.get_state()[1].copy()
    metrics = runner.test()
    assert sum(seen) == len(runner.test_dataloader.dataset) > 400
    assert torch.equal(state[0], torch.get_rng_state())
    assert (state[1] == np.random.get_state()[1]).all()
    assert runner.model.training and not runner.model.neck.training

    # the same number by hand, one episode at a time
    runner.model.eval()
    loader = runner.test_dataloader
    size = len(loader.dataset)
    features, labels = extract_features(runner.model, loader, size)
    drawn = Episodes(labels, way=5, shot=1, query=5)
    hits = [
        hits_one_by_one(features, labels, drawn.draw(0, number), shot=1)
        for number in range(100)
    ]
    assert metrics['episode/accuracy'] == pytest.approx(4 * np.mean(hits))
    half = 1.96 * 4 * np.std(hits, ddof=1) / 10
    assert metrics['episode/ci95'] == pytest.approx(half)


def test_episodes_are_the_same_for_every_run(tmp_path):
    metrics = []
    for run, own in ((0, 0), (1, 0), (0, 1)):
        cfg = few_shot_config(tmp_path, seed=own)
        cfg.randomness = dict(seed=run)
        runner = DistillRunner.from_cfg(cfg)
        torch.manual_seed(0)
        for p in runner.model.parameters():
            torch.nn.init.normal_(p, std=0.1)
        metrics.append(runner.test())
    assert metrics[0] == metrics[1] != metrics[2]


def test_evaluator_is_computed_too(tmp_path):
    cfg = few_shot_config(tmp_path)
    cfg.test_evaluator = [dict(type='Accuracy', topk=1)]
    assert set(DistillRunner.from_cfg(cfg).test()) == {
        'episode/accuracy', 'episode/ci95', 'accuracy/top1'}  # fmt: skip


def share(rank, world, folder):
    """Metrics of a test run: 61 images and 7 episodes, both odd."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    cfg = few_shot_config(folder, query=3, episodes=3)
    for loop in (cfg.val_cfg, cfg.test_cfg):
        loop.episodes = 7
    cfg.test_dataloader.dataset.indices = 61
    if world > 1:
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None
        )
    return DistillRunner.from_cfg(cfg).test()


def test_two_processes_equal_one(tmp_path):
    alone = share(0, 1, str(tmp_path))
    assert run_distributed(share, 2, str(tmp_path)) == [alone, alone]


# Resuming -------------------------------------------------------------------
@HOOKS.register_module()
class StopBeforeHook(Hook):
    """Stops a run as a kill would, when an epoch begins."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


def train(work_dir, stop=None, resume=False, workers=0):
    cfg = few_shot_config(work_dir, epochs=2)
    cfg.train_dataloader.sampler.episodes = 4
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='RandomCrop', crop_size=8, padding=1),
        *PACK,
    ]
    cfg.train_dataloader.update(
        num_workers=workers, persistent_workers=workers > 0
    )
    cfg.custom_hooks = [dict(type='ResumeStateHook')]
    if stop is not None:
        cfg.custom_hooks.append(dict(type='StopBeforeHook', epoch=stop))
    cfg.resume = resume
    if resume:
        cfg.randomness = dict(seed=None)  # as in the checkpoint
    runner = DistillRunner.from_cfg(cfg)
    if stop is None:
        runner.train()
    else:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    stop_workers(runner)
    return runner.model.state_dict()


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path):
    whole = train(tmp_path / 'whole')
    train(tmp_path / 'parts', stop=1)
    parts = train(tmp_path / 'parts', resume=True, workers=1)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


# Bad input ------------------------------------------------------------------
@pytest.mark.parametrize(
    'evaluation, message',
    [(dict(way=6), r'test_cfg\.way=6 asks for more classes .* has, 5'),
     (dict(shot=86), r'test_cfg draws shot=86 and query=5 .*91 together, but '
                     r'\d of 5 classes have fewer \(\d has'),
     (dict(query=0), 'query=0; change test_cfg'),
     (dict(seed=1, chunk_size=7, episodes=1), 'episodes >= 2')])  # fmt: skip
def test_more_than_the_data_allows(tmp_path, evaluation, message):
    cfg = few_shot_config(tmp_path)
    cfg.test_cfg.update(evaluation)
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(cfg).test()


def test_training_on_batches_that_are_no_episodes(tmp_path):
    cfg = few_shot_config(tmp_path)
    cfg.train_dataloader.sampler = dict(type='DefaultSampler', shuffle=True)
    with pytest.raises(ValueError, match="sampler=dict.type='EpisodeSampler"):
        DistillRunner.from_cfg(cfg).train()
