"""A run on one page: what stands on the console before the first step."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from typing import Any

import mmengine
import mmpretrain
import torch
import torchvision
from mmengine.dist import get_world_size
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmdistill.datasets import dataset_labels
from mmdistill.datasets.sample_stream import IndexedDataset
from mmdistill.engine.utils import optimizers, student_of, unwrap
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.zoo import NetworkBackbone
from mmdistill.version import __version__

#: Reading the labels of more samples would take seconds.
_COUNTED = 50_000


def summary(runner: Runner) -> str:
    """What a run is made of, a line for each part.

    Args:
        runner: about to take its first training step, or to test.
    """
    rows = list(_rows(runner))
    width = max(len(name) for name, _ in rows) + 2
    return '\n'.join(
        ['', *(f'{name:<{width}}{text}' for name, text in rows), '']
    )


def _rows(runner: Runner) -> Iterator[tuple[str, str]]:
    model = unwrap(runner.model)
    yield 'versions', _versions()
    config = os.path.basename(runner.cfg.filename or '') or 'not from a file'
    yield 'config', f'{config}, seed {runner.seed}'
    yield 'device', _device(model)
    trains = isinstance(runner._train_loop, BaseLoop)
    yield from _networks(model, trains)
    if trains and isinstance(model, BaseDistiller):
        yield 'losses', _losses(model)
    yield from _data(runner, trains)
    if trains:
        yield from _training(runner)
    if runner._load_from and runner._has_loaded:
        verb = 'goes on from' if runner._resume else 'begins with'
        yield 'weights', f'{verb} {runner._load_from}'
    yield 'work folder', runner.work_dir
    yield 'log', f'{runner.log_dir} (environment, whole config)'


def _versions() -> str:
    found = {
        'mmdistill': __version__,
        'torch': torch.__version__,
        'torchvision': torchvision.__version__,
        'mmengine': mmengine.__version__,
        'mmpretrain': mmpretrain.__version__,
        'Python': platform.python_version(),
    }
    return ', '.join(f'{name} {version}' for name, version in found.items())


def _device(model: nn.Module) -> str:
    device = next((p.device for p in model.parameters()), torch.device('cpu'))
    threads = torch.get_num_threads()
    name = f'CPU, {threads} thread{"s" * (threads > 1)}'
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
    elif device.type != 'cpu':
        name = device.type
    world = get_world_size()
    return f'{world} process{"es" * (world > 1)}, {name}'


def _networks(model: nn.Module, trains: bool) -> Iterator[tuple[str, str]]:
    if not trains or not isinstance(model, BaseDistiller):
        yield 'model', _network(student_of(model))
        return
    yield 'model', type(model).__name__
    yield '  student', _network(student_of(model))
    for name, target in model.targets.items():
        text = f'{_network(target.model)}, {target.role.value}'
        if target.is_frozen:
            text += f', {target.ckpt or "no file"}'
        yield f'  {name}', text


def _network(model: nn.Module) -> str:
    backbone = getattr(model, 'backbone', None)
    name = type(model).__name__
    if isinstance(backbone, NetworkBackbone):
        name = backbone.full_name
    elif backbone is not None:
        name += f' with {type(backbone).__name__}'
    count = sum(p.numel() for p in model.parameters())
    return f'{name}, {shortened(count)} parameters'


def _losses(model: BaseDistiller) -> str:
    parts = [f'task x {model.task_weight:g}'] if model.task_weight else []
    for name, loss in model.losses.items():
        weight = getattr(loss, 'loss_weight', 1.0)
        parts.append(f'{name} ({type(loss).__name__}) x {weight:g}')
    return ', '.join(parts)


def _data(runner: Runner, trains: bool) -> Iterator[tuple[str, str]]:
    loops = dict(validation=runner._val_loop, test=runner._test_loop)
    if trains:
        loops = dict(training=runner.train_loop) | loops
    parts = [
        f'{name} {_dataset(loop.dataloader.dataset)}'
        for name, loop in loops.items()
        if isinstance(loop, BaseLoop)  # not one that is still a config
    ]
    yield 'data', '; '.join(parts)


def _dataset(dataset: Any) -> str:
    if isinstance(dataset, IndexedDataset):
        dataset = dataset.dataset
    meta = getattr(dataset, 'metainfo', None) or {}
    inside = [type(dataset).__name__]
    if meta.get('classes'):
        inside.append(f'{len(meta["classes"])} classes')
    if len(dataset) <= _COUNTED:
        labels = dataset_labels(dataset)
        if labels is not None and bool(labels.lt(0).any()):
            inside.append(f'{int(labels.ge(0).sum())} labeled')
    return f'{len(dataset)} ({", ".join(inside)})'


def _training(runner: Runner) -> Iterator[tuple[str, str]]:
    size, world = runner.train_dataloader.batch_size, get_world_size()
    wrapper = runner.optim_wrapper
    steps = getattr(wrapper, '_accumulative_counts', 1)
    factors = [f'{size}']
    factors += [f'{world} processes'] * (world > 1)
    factors += [f'{steps} accumulated'] * (steps > 1)
    # None of torch's: the sampler makes the batches.
    text = 'as the sampler makes them' if size is None else factors[0]
    if size is not None and factors[1:]:
        text = f'{" x ".join(factors)} = {size * world * steps}'
    yield 'batch', text
    for optimizer in optimizers(wrapper):
        group = optimizer.param_groups[0]
        learns = sum(
            p.numel() for g in optimizer.param_groups for p in g['params']
        )
        rate = group.get('initial_lr', group['lr'])
        mixed = isinstance(wrapper, AmpOptimWrapper)
        yield (
            'optimizer',
            f'{type(optimizer).__name__}, lr {rate:g}, weight decay '
            f'{group.get("weight_decay", 0):g}, {shortened(learns)} '
            'parameters learn' + ', mixed precision' * mixed,
        )
    yield 'schedule', _schedule(runner)


def _schedule(runner: Runner) -> str:
    loop = runner.train_loop
    by_iter = hasattr(loop, 'dataloader_iterator')
    text = f'{loop.max_iters} steps'
    unit = 'steps'
    if not by_iter:
        unit = 'epochs'
        text = f'{loop.max_epochs} epochs of {len(loop.dataloader)} steps'
    if runner.val_loop is not None:
        text += f', validation every {loop.val_interval} {unit}'
    schedulers = runner.param_schedulers
    if isinstance(schedulers, list) and schedulers:
        names = [type(scheduler).__name__ for scheduler in schedulers]
        text += ', ' + ' then '.join(names)
    return text


def shortened(count: int) -> str:
    """A number of parameters with three digits: 4.9 k, 11.2 M."""
    for unit, size in ((' G', 10**9), (' M', 10**6), (' k', 10**3)):
        if count >= size:
            return f'{count / size:.3g}{unit}'
    return str(count)
