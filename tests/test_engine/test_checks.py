"""What every run is refused before its first step."""

import copy

import pytest
from helpers import (
    digits_batch,
    digits_config,
    run_distributed,
    stop_at_first_step,
    tiny_classifier,
)
from mmengine.runner import FlexibleRunner, Runner

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS
from mmdistill.utils import register_all_modules


def by_two(folder, samples, **kwargs):
    return digits_config(
        folder,
        launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel', device_ids=None
        ),
        **{
            'train_dataloader.batch_size': 16,
            'train_dataloader.dataset.indices': samples,
            'train_dataloader.sampler.round_up': False,
            'train_cfg.max_epochs': 1,
            'val_dataloader.dataset.indices': 20,
        },
        **kwargs,
    )


def uneven(rank, world, folder):
    """What a run of so many samples says, and how many steps it took."""
    register_all_modules()
    plain = tiny_classifier(data_preprocessor=dict(mean=[73.2], std=[90.24]))
    plain['head']['init_cfg'] = dict(type='Normal', layer='Linear')
    configs = dict(
        other_steps=by_two(f'{folder}/a', 33),
        plain_model=by_two(f'{folder}/b', 33),
        other_batch=by_two(f'{folder}/c', 35),
        by_iter=by_two(f'{folder}/d', 33),
    )
    configs['plain_model'].model = plain
    configs['by_iter'].train_cfg = dict(by_epoch=False, max_iters=3)
    said = {}
    for name, cfg in configs.items():
        runner = DistillRunner.from_cfg(cfg)
        try:
            runner.train()
            said[name] = runner.iter
        except ValueError as error:
            said[name] = f'{error} (step {runner.iter})'
    return said


@pytest.mark.slow
def test_uneven_shares_are_refused_where_processes_would_wait(tmp_path):
    for said in run_distributed(uneven, 2, str(tmp_path)):
        for name in ('other_steps', 'plain_model'):
            assert '[17, 16] training samples' in said[name]
            assert 'take [2, 1] steps' in said[name]
            assert 'train_dataloader.sampler.round_up=True' in said[name]
            assert '(step 0)' in said[name]
        # 18 and 17 samples are two steps each, which the CPU joins.
        assert said['other_batch'] == 2
        assert said['by_iter'] == 3


def test_a_distiller_needs_its_runner(tmp_path):
    """Others do not tell it of its data, and hold none of the promises."""
    for runner in (Runner, FlexibleRunner):
        cfg = digits_config(tmp_path / runner.__name__, env_cfg={})
        with pytest.raises(RuntimeError, match="runner_type='DistillRunner'"):
            runner.from_cfg(cfg).train()


def test_a_loss_measured_before_does_not_hide_another_runner(tmp_path):
    runner = Runner.from_cfg(digits_config(tmp_path, env_cfg={}))
    batch = runner.model.data_preprocessor(digits_batch(), True)
    runner.model.eval()(**batch, mode='loss')
    runner.model.train()
    with pytest.raises(RuntimeError, match="runner_type='DistillRunner'"):
        runner.train()


def test_a_plain_model_takes_any_runner(tmp_path):
    cfg = digits_config(tmp_path, env_cfg={}, **{'train_cfg.max_epochs': 1})
    cfg.model = tiny_classifier(
        data_preprocessor=dict(mean=[73.2], std=[90.24])
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.epoch == 1


CRD = dict(crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8))


def test_banks_learn_the_dataset_by_themselves(tmp_path):
    cfg = digits_config(tmp_path, CRD)
    runner = DistillRunner.from_cfg(cfg)
    stop_at_first_step(runner)
    bank = runner.model.losses['crd'].bank_student
    dataset = runner.train_dataloader.dataset
    assert len(bank) == 96
    assert bank.labels.tolist() == dataset.get_gt_labels().tolist()


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset'])
def test_sample_index_is_of_the_outermost_dataset(tmp_path, wrapper):
    cfg = digits_config(tmp_path, CRD)
    inner = cfg.train_dataloader.dataset
    if wrapper == 'ConcatDataset':
        other = copy.deepcopy(inner)
        other.indices = 40
        dataset = dict(type=wrapper, datasets=[inner, other])
    else:
        dataset = dict(type=wrapper, dataset=inner, times=2)
    cfg.train_dataloader.dataset = dataset
    runner = DistillRunner.from_cfg(cfg)
    seen = {}
    original = runner.model.train_step

    def train_step(data, optim_wrapper):
        for sample in data['data_samples']:
            seen[sample.sample_idx] = int(sample.gt_label)
        return original(data, optim_wrapper)

    runner.model.train_step = train_step
    runner.train()
    dataset = runner.train_dataloader.dataset
    assert sorted(seen) == list(range(len(dataset)))
    bank = runner.model.losses['crd'].bank_student
    assert len(bank) == len(dataset) == {
        'ConcatDataset': 136, 'RepeatDataset': 192}[wrapper]  # fmt: skip
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(bank))]
    assert (
        labels == bank.labels.tolist() == [seen[i] for i in range(len(bank))]
    )


def test_unlabeled_dataset_for_a_loss_that_needs_labels(tmp_path):
    cfg = digits_config(tmp_path, CRD)
    cfg.train_dataloader.dataset.type = 'UnlabelledDigits'
    cfg.model.task_weight = 0
    with pytest.raises(ValueError, match='losses.crd.*needs labels'):
        DistillRunner.from_cfg(cfg).train()
    cfg.model.losses.crd.exclude_class = False
    DistillRunner.from_cfg(cfg).train()


@DATASETS.register_module()
class UnlabelledDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return [dict(img=i['img']) for i in super().load_data_list()]


def test_empty_dataset(tmp_path):
    cfg = digits_config(tmp_path)
    cfg.train_dataloader.dataset.type = 'NoDigits'
    with pytest.raises(ValueError, match='no sample; .*train_dataloader'):
        DistillRunner.from_cfg(cfg).train()


@DATASETS.register_module()
class NoDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return []

    def full_init(self):
        self._indices = None
        super().full_init()


def test_last_batch_of_one_is_refused_before_training(tmp_path):
    cfg = digits_config(tmp_path, dict(rkd=dict(type='RKDLoss')))
    cfg.train_dataloader.dataset.indices = 65
    with pytest.raises(ValueError, match='drop_last'):
        DistillRunner.from_cfg(cfg).train()
    cfg.train_dataloader.drop_last = True
    stop_at_first_step(DistillRunner.from_cfg(cfg))


@pytest.mark.parametrize('where', ['train_dataloader', 'val_dataloader'])
def test_a_label_without_a_score_is_refused(tmp_path, where):
    few = [i for i in range(60) if digits_labels()[i] < 7]
    cfg = digits_config(tmp_path)
    for part in (cfg.model.student, cfg.model.teacher):
        part.head.num_classes = 7
    for loader in ('train_dataloader', 'val_dataloader'):
        cfg[loader].dataset.split = 'train'
        cfg[loader].dataset.indices = list(
            range(60) if loader == where else few
        )
    with pytest.raises(
        ValueError, match=f'num_classes=7 .*{where}.*label 9.*num_classes=10'
    ):
        DistillRunner.from_cfg(cfg).train()
    if where == 'val_dataloader':  # nothing learns the labels
        cfg.model.task_weight = 0.0
        stop_at_first_step(DistillRunner.from_cfg(cfg))


def digits_labels():
    return DATASETS.build(dict(type='Digits')).get_gt_labels()
