"""One small training step, for what a real one will need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor, nn

from mmdistill.datasets import dataset_labels
from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.dataloaders import build_dataloader
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.memories import FeatureQueue, InstanceBank
from mmdistill.registry import MODELS


@dataclass(frozen=True)
class Step:
    """What a small step took.

    Attributes:
        images: in its batch.
        activations: bytes that it kept for its backward pass.
        seconds: of forward and backward, without the data.
        device: where it ran.
    """

    images: int
    activations: int
    seconds: float
    device: str


def build_model(cfg: Mapping[str, Any]) -> nn.Module:
    """The model of a config, with random weights."""
    model = dict(cfg['model'])
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg['data_preprocessor'])
    return MODELS.build(model)


def memory_bytes(model: nn.Module, num_samples: int) -> int:
    """Bytes of all banks and queues, once they have their size."""
    total = 0
    for module in model.modules():
        if isinstance(module, InstanceBank):
            rows = len(module) or num_samples
            total += rows * module.dim * module.features.element_size()
        elif isinstance(module, FeatureQueue):
            total += module.storage.nbytes
    return total


def dry_step(model: nn.Module, loader: Mapping[str, Any], few: int) -> Step:
    """Take a step with a few images, and measure its second run.

    Args:
        model: of `build_model`; its weights stay, its banks get their size.
        loader: config of the training dataloader.
        few: images of the step, unless a loss needs more, or the dataloader
            makes batches of its own.
    """
    loader = dict(loader, num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    if not loader.get('batch_sampler'):
        least = 1
        if isinstance(model, BaseDistiller):
            least, _ = model.min_batch()
        loader['batch_size'] = max(least, min(few, loader['batch_size']))
    built = build_dataloader(loader, seed=0)
    if isinstance(model, BaseDistiller):
        index_samples(built)
        labels = dataset_labels(built.dataset)
        model.set_training_set(len(built.dataset), labels)
    device = get_device()
    model = model.to(device).train()
    batch = model.data_preprocessor(next(iter(built)), True)
    images = len(batch['data_samples'])

    def step() -> None:
        losses = model(**batch, mode='loss')
        total, _ = model.parse_losses(losses)
        total.backward()

    activations = _kept_bytes(step, model)
    model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    step()
    if device == 'cuda':
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return Step(images, activations, seconds, device)


def _kept_bytes(step: Callable[[], None], model: nn.Module) -> int:
    """Bytes that a step keeps for its backward pass, weights left out."""
    sizes: dict[int, int] = {}
    known = {
        value.untyped_storage().data_ptr()
        for value in (*model.parameters(), *model.buffers())
    }

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in known:
            sizes[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        step()
    return sum(sizes.values())
