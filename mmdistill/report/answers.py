"""What student and teacher say about images of the validation set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor
from torch.utils.data import Dataset

from mmdistill.registry import DATASETS
from mmdistill.report.run_folder import RunFolder
from mmdistill.report.run_models import Models
from mmdistill.utils.progress import progress_bar

_BATCH = 32
_LARGEST = 96  # side of a thumbnail in pixels


@dataclass
class Answers:
    """One model's answers.

    Shape:
        logits: (N, K) float32; feature: (N, D), or None if it has none.
    """

    logits: Tensor
    feature: Tensor | None

    @property
    def chosen(self) -> Tensor:
        """(N,) the most likely class."""
        return self.logits.argmax(1)

    @property
    def probabilities(self) -> Tensor:
        """(N, K), by softmax."""
        return self.logits.softmax(1)

    def accuracy(self, labels: Tensor) -> float:
        """In percent."""
        return 100 * float((self.chosen == labels).float().mean())


@dataclass
class Seen:
    """Images, their labels, and what the models say.

    Attributes:
        index: (N,) their numbers in the dataset.
        labels: (N,) int64.
        images: thumbnails, each (h, w, 3) uint8, RGB.
        models: answers by name: 'student', and of a frozen teacher that
            knows as many classes its name.
        classes: names of the classes.
        total: length of the dataset.
    """

    index: list[int]
    labels: Tensor
    images: list[np.ndarray]
    models: dict[str, Answers]
    classes: Sequence[str]
    total: int

    @property
    def teacher(self) -> str | None:
        """Name of the teacher that the student is compared with."""
        return next((name for name in self.models if name != 'student'), None)

    def name(self, label: int) -> str:
        """A class by its name, or its number."""
        known = label < len(self.classes)
        return str(self.classes[label]) if known else str(label)


def see(
    models: Models,
    run: RunFolder,
    count: int = 1000,
    seconds: float = 20.0,
    dataset: Dataset | None = None,
) -> tuple[Seen, Callable[[int], dict]]:
    """Show the models images of the run's validation set.

    The images are drawn at random, always the same ones.

    Args:
        models: of the run.
        run: its folder.
        count: images, at most.
        seconds: after which no more images are shown.
        dataset: the validation set, if it is there already.
    Returns:
        what was seen, and what gives a sample by its number.
    Raises:
        ValueError: if there is no validation set, or no image has a label.
    """
    loader = run.cfg.get('val_dataloader')
    if loader is None:
        raise ValueError('the config has no val_dataloader')
    if dataset is None:
        dataset = DATASETS.build(loader['dataset'])
    order = np.random.default_rng(0).permutation(len(dataset))[:count]
    readers = {name: models.reader(name) for name in models.by_name}
    kept: dict[str, list] = {name: [] for name in readers}
    index, labels, images = [], [], []
    shown = _pictures_are_bgr(run.cfg)
    for numbers in _in_time(order.tolist(), seconds):
        samples = [dataset[i] for i in numbers]
        known = [_label(sample) for sample in samples]
        index += numbers
        labels += known
        images += [_small(sample['inputs'], shown) for sample in samples]
        for name, reader in readers.items():
            with torch.no_grad():
                kept[name].append(reader(models.inputs(samples, name)))
    found = torch.tensor(labels)
    if not (found >= 0).any():
        raise ValueError('no image of the validation set has a label')
    keep = found.ge(0).nonzero().flatten().tolist()
    answers = {
        name: _joined(parts, keep)
        for name, parts in kept.items()
        if _scores(parts)
    }
    width = answers['student'].logits.shape[1] if 'student' in answers else 0
    seen = Seen(
        [index[i] for i in keep],
        found[keep],
        [images[i] for i in keep],
        # Another number of classes cannot be compared class by class.
        {k: a for k, a in answers.items() if a.logits.shape[1] == width},
        (getattr(dataset, 'metainfo', None) or {}).get('classes') or (),
        len(dataset),
    )
    if 'student' not in seen.models:
        raise ValueError('the student gives no scores of classes')
    return seen, dataset.__getitem__


def _in_time(numbers: list[int], seconds: float) -> Iterator[list[int]]:
    """Batches of numbers until the time is over, with a bar."""
    start = time.monotonic()
    with progress_bar('what the models say', len(numbers)) as advance:
        for first in range(0, len(numbers), _BATCH):
            if first and time.monotonic() - start > seconds:
                return
            yield numbers[first : first + _BATCH]
            advance(_BATCH)


def _scores(parts: list) -> bool:
    logits = parts[0].logits
    return logits is not None and logits.ndim == 2


def _joined(parts: list, keep: list[int]) -> Answers:
    def join(field: str) -> Tensor | None:
        tensors = [getattr(part, field) for part in parts]
        if any(tensor is None for tensor in tensors):
            return None
        return torch.cat(tensors)[keep].float().cpu()

    return Answers(join('logits'), join('feature'))


def _label(sample: dict) -> int:
    found = sample['data_samples'].get('gt_label')
    return int(found) if found is not None and found.numel() == 1 else -1


def _pictures_are_bgr(cfg: Config) -> bool:
    """Whether the dataset gives OpenCV's order of channels."""
    steps = cfg.val_dataloader['dataset'].get('pipeline') or [{}]
    preprocessor: Any = cfg.get('data_preprocessor') or {}
    reads = steps[0].get('type') == 'LoadImageFromFile'
    return reads or bool(preprocessor.get('to_rgb'))


def _small(image: Tensor, is_bgr: bool) -> np.ndarray:
    """A picture of an input of the pipeline, (h, w, 3) uint8."""
    image = image.float()
    if image.shape[0] == 3 and is_bgr:
        image = image.flip(0)
    elif image.shape[0] != 3:
        image = image[:1].expand(3, -1, -1)
    scale = _LARGEST / max(image.shape[-2:])
    if scale < 1:
        image = F.interpolate(image[None], scale_factor=scale, mode='area')[0]
    return image.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
