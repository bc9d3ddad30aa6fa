"""What every run is refused before its first step."""

import pytest
from helpers import digits_config, run_distributed, tiny_classifier
from mmengine.runner import FlexibleRunner, Runner

from mmdistill.engine.runner import DistillRunner
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


def test_a_plain_model_takes_any_runner(tmp_path):
    cfg = digits_config(tmp_path, env_cfg={}, **{'train_cfg.max_epochs': 1})
    cfg.model = tiny_classifier(
        data_preprocessor=dict(mean=[73.2], std=[90.24])
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.epoch == 1
