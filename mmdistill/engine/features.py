from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from mmengine.runner import autocast
from torch import Tensor, nn

from mmdistill.models import RepresentationReader
from mmdistill.ops import all_reduce_sum
from mmdistill.structures import BatchedSamples


@torch.no_grad()
def extract_features(
    model: nn.Module,
    batches: Iterable[dict],
    num_samples: int,
    fp16: bool = False,
    read: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The features of a whole dataset, in the order of its samples.

    The processes share the work by their samplers; a sample that was given
    twice, to make the shares equal, counts once. The model runs in the mode
    that it is in.

    Args:
        model: a distiller, whose student is meant, or a classifier; not in a
            distributed wrapper.
        batches: this process's share, of a dataloader whose samples know
            their index (`index_samples`).
        num_samples: length of the dataset.
        fp16: run the model under autocast.
        read: gives the features (N, D) of images (N, C, H, W); the student's,
            or the classifier's, when None. See `feature_reader`.
    Shape:
        returns features (num_samples, D) float32, the same in every process,
        and labels (num_samples,), -1 where unknown, on the model's device.
    Raises:
        ValueError: if a sample is missing, or the model has no feature.
    """
    read = read or feature_reader(model)
    features = labels = seen = None
    for batch in batches:
        index, label = _indices_and_labels(batch['data_samples'])
        prepared = model.data_preprocessor(batch, False)
        with autocast(enabled=fp16):
            feature = read(prepared['inputs'])
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


def feature_reader(
    model: nn.Module, part: str = 'student'
) -> Callable[[Tensor], Tensor]:
    """What gives the features (N, D) of images (N, C, H, W).

    Args:
        model: a distiller or a classifier.
        part: of a distiller, 'student' or 'teacher'.
    Raises:
        ValueError: when called, if the network has no feature.
    """
    reader = RepresentationReader(getattr(model, part, model))

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
