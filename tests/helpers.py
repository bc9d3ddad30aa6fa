"""What tests share that is no fixture: errors, real processes, tiny nets."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
import tempfile
import traceback

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmdistill.models.losses import DistillLoss
from mmdistill.registry import MODELS


def relative_error(actual, expected) -> float:
    """Largest difference over the largest expected magnitude."""
    actual = torch.as_tensor(actual).detach().double()
    expected = torch.as_tensor(expected).detach().double()
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


#: Only so that what hangs ends: a busy machine may take its time.
PATIENCE = 900


def _worker(rank, world, store, function, args, queue):
    gc.freeze()  # as in conftest.py
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world)
    )
    # They meet at a file: a free port may be taken before it is used.
    dist.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=world
    )
    try:
        result, error = function(rank, world, *args), None
    except BaseException:
        result, error = None, traceback.format_exc()
    # numpy arrays travel by value; tensors would need this process to live.
    queue.put((rank, _to_numpy(result), error))
    dist.destroy_process_group()


def _to_numpy(value):
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {k: _to_numpy(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_numpy(v) for v in value]
    return value


def run_distributed(function, world: int, *args) -> list:
    """Call ``function(rank, world, *args)`` in real gloo processes.

    Returns the results by rank, tensors as numpy arrays.
    """
    context = mp.get_context('forkserver')
    # Imported once: the processes are forked from one that has them.
    context.set_forkserver_preload(
        ['mmdistill.models', 'mmdistill.engine.hooks']
    )
    queue = context.Queue()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        common = world, f'{folder}/store', function, args, queue
        workers = [
            context.Process(target=_worker, args=(rank, *common))
            for rank in range(world)
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            rank, result, error = queue.get(timeout=PATIENCE)
            assert error is None, f'process {rank} failed:\n{error}'
            results[rank] = result
        for worker in workers:
            worker.join(timeout=PATIENCE)
    return [results[rank] for rank in range(world)]


def load_config(path):
    """A config, whose text is not formatted for each checkpoint and log.

    That takes as long as a step does, and MMEngine's own ``fromfile`` does
    not hand on that it is not wanted.
    """
    from mmengine.config import Config

    cfg = Config.fromfile(path).to_dict()
    return Config(cfg, format_python_code=False)


def tiny_classifier(depth=8, widths=(4, 4, 8, 16), classes=10, **kwargs):
    """Config of a small CIFAR network for 8x8 digits."""
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='CIFARResNet', depth=depth, widths=widths, in_channels=1
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(
            type='LinearClsHead',
            num_classes=classes,
            in_channels=widths[-1],
            init_cfg=None,
        ),
        **kwargs,
    )


def tiny_encoder(depth=8, prototypes=None, **head):
    """Config of a small encoder that learns digits without labels."""
    head = dict(type='ProjectionHead', hidden_dim=12, out_dim=6) | head
    return dict(
        type='SelfSupervisedEncoder',
        backbone=tiny_classifier(depth)['backbone'],
        neck=dict(type='GlobalAveragePooling'),
        head=head,
        prototypes=prototypes,
    )


def distiller(scheme, **kwargs):
    """Config of a scheme for 8x8 digits, which shares nothing with others."""
    cfg = dict(
        type=scheme,
        student=tiny_classifier(),
        data_preprocessor=dict(mean=[120.0], std=[60.0]),
        input_size=(1, 8, 8),
    )
    return copy.deepcopy(cfg | kwargs)


class DropTuple(torch.nn.Dropout):
    """Dropout of what a neck gives; what training draws then matters."""

    def forward(self, x):
        return tuple(super(DropTuple, self).forward(y) for y in x)


def losses_of(model, batch):
    """What a distiller loses on a batch as the dataloader gives it."""
    return model(**model.data_preprocessor(batch, True), mode='loss')


def stop_workers(runner):
    """End the data workers of a run, while their queues are there.

    If they go with a runner that is garbage, torch waits 5 s for each: the
    collector has closed their queues before they are told.
    """
    loop = runner.train_loop
    loop.dataloader._iterator = None
    if hasattr(loop, 'dataloader_iterator'):
        loop.dataloader_iterator._iterator = None


def trained(cfg):
    """The runner of a config, which has run."""
    from mmdistill.engine.runner import DistillRunner

    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    return runner


def digits_batch(size=8, labels=True, start=0):
    """A batch as the dataloader gives it: images and samples."""
    from mmpretrain.structures import DataSample

    images = torch.rand(
        size, 1, 8, 8, generator=torch.Generator().manual_seed(start)
    )
    samples = []
    for i in range(size):
        sample = DataSample()
        sample.set_metainfo(dict(sample_idx=start + i))
        if labels:
            sample.set_gt_label((start + i) % 10)
        samples.append(sample)
    return dict(inputs=images * 240, data_samples=samples)


def digits_config(work_dir, losses=None, **kwargs):
    """A short distillation run on real digits, as a config of a Runner."""
    from mmengine.config import Config

    data = dict(
        batch_size=32,
        num_workers=0,
        dataset=dict(
            type='Digits',
            pipeline=[
                dict(type='RandomCrop', crop_size=8, padding=1),
                dict(type='PackInputs'),
            ],
            indices=96,
        ),
        sampler=dict(type='DefaultSampler', shuffle=True),
    )
    val = dict(
        batch_size=50,
        num_workers=0,
        dataset=dict(
            type='Digits',
            split='test',
            pipeline=[dict(type='PackInputs')],
            indices=100,
        ),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    cfg = dict(
        default_scope='mmdistill',
        experiment_name=f'{os.path.basename(work_dir)}_{os.urandom(4).hex()}',
        work_dir=str(work_dir),
        model=dict(
            type='OfflineDistiller',
            student=tiny_classifier(),
            teacher=tiny_classifier(depth=14),
            losses=losses or dict(kd=dict(type='KDLoss')),
            data_preprocessor=dict(mean=[73.2], std=[90.24]),
            input_size=(1, 8, 8),
        ),
        train_dataloader=data,
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        val_dataloader=val,
        val_cfg=dict(),
        val_evaluator=dict(type='Accuracy', topk=1),
        test_dataloader=val,
        test_cfg=dict(),
        test_evaluator=dict(type='Accuracy', topk=1),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=2)),
        randomness=dict(seed=0),
        log_level='WARNING',
    )
    config = Config(cfg, format_python_code=False)
    config.merge_from_dict(kwargs)
    return config


def crops_config(work_dir, model, **kwargs):
    """A short run on two full and two small crops of digits, and k-NN."""
    cfg = digits_config(work_dir, **kwargs)
    cfg.model = model
    cfg.train_dataloader.dataset.pipeline = [
        dict(
            type='MultiCrop',
            num_local=2,
            global_size=8,
            local_size=4,
            global_scale=(0.5, 1.0),
            local_scale=(0.2, 0.5),
        ),
        dict(type='PackInputs'),
    ]
    cfg.train_dataloader.collate_fn = dict(type='default_collate')
    bank = copy.deepcopy(cfg.val_dataloader)
    bank.dataset.split = 'train'
    cfg.val_cfg = dict(type='KNNValLoop', bank_dataloader=bank, k=(20,))
    cfg.val_evaluator = []
    return cfg


class Stop(Exception):
    """Ends a run at its first step."""


def stop_at_first_step(runner):
    """Let a run come as far as its first step, and stop it there."""
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        raise Stop

    runner.model.train_step = train_step
    with pytest.raises(Stop):
        runner.train()
    runner.model.train_step = original


@MODELS.register_module()
class WithDiagnostic(DistillLoss):
    """Gives a number besides, which is only logged."""

    level = 'logits'

    def forward(self, student, teacher):
        loss = self.loss_weight * (student - teacher).pow(2).mean()
        return dict(loss=loss, scale=10 + student.abs().mean())


def checkpointed(folder, epochs=2, **kwargs):
    """The runner of a config that leaves checkpoints of every kind."""
    from mmdistill.engine.runner import DistillRunner

    cfg = digits_config(
        folder,
        custom_hooks=[dict(type='ExportStudentHook')],
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
        **kwargs,
    )
    cfg.train_cfg.max_epochs = epochs
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook',
        interval=1,
        save_best='accuracy/top1',
        **kwargs.get('checkpoint', {}),
    )
    return DistillRunner.from_cfg(cfg)


def hooked(work_dir, *hooks, epochs=2, **kwargs):
    """The runner of a short run with these hooks."""
    from mmdistill.engine.runner import DistillRunner

    cfg = digits_config(work_dir, custom_hooks=list(hooks), **kwargs)
    cfg.train_cfg.max_epochs = epochs
    return DistillRunner.from_cfg(cfg)


def hits_one_by_one(features, labels, episode, shot):
    """One query and one class at a time, by labels."""
    right = []
    support = [i for row in episode.tolist() for i in row[:shot]]
    for i in (i for row in episode.tolist() for i in row[shot:]):
        distances = {}
        for name in labels[episode].unique():
            own = [j for j in support if labels[j] == name]
            mean = features[own].double().mean(dim=0)
            distances[int(name)] = float((features[i] - mean).norm())
        right.append(min(distances, key=distances.get) == labels[i])
    return sum(map(bool, right))


def said_by(code: str, **env) -> str:
    """What a fresh Python prints that runs the code."""
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env=os.environ | env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
