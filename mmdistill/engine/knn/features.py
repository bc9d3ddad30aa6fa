from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from mmengine.dist import get_world_size
from mmengine.runner import autocast
from torch import Tensor, nn

from mmdistill.models import RepresentationReader
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.distillers.preprocessor import target_images
from mmdistill.ops import all_reduce_sum
from mmdistill.structures import BatchedSamples
from mmdistill.utils.progress import progress_bar


@torch.no_grad()
def extract_features(
    model: nn.Module,
    batches: Iterable[dict],
    num_samples: int,
    fp16: bool = False,
    read: Callable[[Tensor], Tensor] | None = None,
    part: str = 'student',
) -> tuple[Tensor, Tensor]:
    """The features of a whole dataset, in the order of its samples.

    The processes share the work by their samplers; a sample that was given
    twice, to make the shares equal, counts once. The model runs in the mode
    that it is in.

    Args:
        model: a distiller or a classifier; not in a distributed wrapper.
        batches: this process's share, of a dataloader whose samples know
            their index (`index_samples`).
        num_samples: length of the dataset.
        fp16: run the model under autocast.
        read: gives the features (N, D) of images (N, C, H, W); those of the
            ``part`` when None. See `feature_reader`.
        part: of a distiller, whose images are read; see `network_of`.
    Shape:
        returns features (num_samples, D) float32, the same in every process,
        and labels (num_samples,), -1 where unknown, on the model's device.
    Raises:
        ValueError: if a sample is missing, or the model has no feature.
    """
    read = read or feature_reader(model, part)
    features = labels = seen = None
    share = -(-num_samples // get_world_size())
    for batch in _counted(batches, f'features of the {part}', share):
        index, label = _indices_and_labels(batch['data_samples'])
        prepared = model.data_preprocessor(batch, False)
        images = prepared['inputs']
        if part != 'student':
            images = target_images(
                model.data_preprocessor, batch, prepared, part
            )
        with autocast(enabled=fp16):
            feature = read(images)
        if features is None:
            device = feature.device
            features = torch.zeros(
                num_samples, feature.shape[1], device=device
            )
            labels, seen = torch.zeros(
                2, num_samples, dtype=torch.long, device=device
            )
        index = index.to(device, non_blocking=True)
        features[index] = feature.float()
        labels[index] = label.to(device, non_blocking=True)
        seen[index] = 1
    if features is None:
        raise ValueError(
            f'this process got none of the {num_samples} samples; use fewer '
            'processes or a larger dataset'
        )
    # A sample that two processes had is the mean of its two equal rows.
    seen = all_reduce_sum(seen)
    missing = int((seen == 0).sum())
    if missing:
        raise ValueError(
            f'{missing} of {num_samples} samples were not given by the '
            'dataloader; set drop_last=False and sampler=dict(type='
            "'DefaultSampler', shuffle=False)"
        )
    features = all_reduce_sum(features).div_(seen[:, None])
    return features, all_reduce_sum(labels) // seen


def network_of(
    model: nn.Module, part: str = 'student', setting: str = 'part'
) -> nn.Module:
    """One of the networks of a distiller.

    Args:
        model: a distiller, or a classifier or an encoder, which is its own
            'student'.
        part: 'student', or the name of a target: 'teacher' for a momentum
            copy that teaches, a network that learns beside the student, or a
            frozen one, 'slow_student' for a momentum copy beside a teacher.
        setting: its config key, for errors.
    Raises:
        ValueError: if the model has no such network.
    """
    is_distiller = isinstance(model, BaseDistiller)
    if part == 'student':
        return model.student if is_distiller else model
    if not is_distiller or part not in model.targets:
        raise ValueError(
            f'{setting}={part!r} is no part of {type(model).__name__}; it is '
            "'student', or a target of a distiller that has one, such as "
            f"'teacher'. Set {setting}='student', or take the config of the "
            "distiller's training, with one of its full checkpoints"
        )
    return model.targets[part].model


def feature_reader(
    model: nn.Module, part: str = 'student'
) -> Callable[[Tensor], Tensor]:
    """What gives the features (N, D) of images (N, C, H, W).

    A frozen teacher is loaded if that was not done yet.

    Args:
        model: a distiller or a classifier.
        part: of a distiller, see `network_of`.
    Raises:
        ValueError: if there is no such part; when called, if the network has
            no feature.
        FileNotFoundError, CheckpointError: if a frozen teacher's file is not
            there, or does not fit.
    """
    reader = RepresentationReader(network_of(model, part))
    if part != 'student':
        model.targets[part].prepare()

    def read(images: Tensor) -> Tensor:
        feature = reader(images).feature
        if feature is None:
            raise ValueError(
                f'{type(reader.model).__name__} gives no feature (N, D): its '
                'neck has to pool the maps, as '
                "neck=dict(type='GlobalAveragePooling') does"
            )
        return feature

    return read


def _counted(
    batches: Iterable[dict], what: str, num_samples: int
) -> Iterator[dict]:
    """The batches, with a bar that counts their samples."""
    with progress_bar(what, num_samples) as advance:
        for batch in batches:
            yield batch
            advance(len(batch['data_samples']))


def _indices_and_labels(
    samples: BatchedSamples | list,
) -> tuple[Tensor, Tensor]:
    """The indices and labels of a batch that is still on the CPU."""
    if isinstance(samples, BatchedSamples):
        label = samples.gt_label
        if label is None:
            label = torch.full_like(samples.sample_idx, -1)
        return samples.sample_idx, label
    labels = [int(s.gt_label) if 'gt_label' in s else -1 for s in samples]
    index = [s.sample_idx for s in samples]
    return torch.tensor(index), torch.tensor(labels)
