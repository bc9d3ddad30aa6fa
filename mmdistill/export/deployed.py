"""What a student answers where it is deployed, and what it must be given."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.models import BaseSelfSupervisor, ImageClassifier
from torch import Tensor, nn

from mmdistill.export.students import ExportError, Student
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.utils.pipelines import sees_bgr


class Deployed(nn.Module):
    """What a student answers: logits, or without a head pooled features.

    Softmax is not included.

    Args:
        model: an ``ImageClassifier``, a `SelfSupervisedEncoder`, whose head
            and prototypes are not used, or an algorithm of MMPretrain.
        with_preprocessing: take images of 0 to 255 in RGB (or gray) and
            normalize them as the model's ``data_preprocessor`` does.
        bgr: with preprocessing, the network was trained on BGR.
    Shape:
        (N, C, H, W); returns (N, K), or (N, D) without a head.
    Raises:
        ExportError: for a detector or a segmentor.
    """

    def __init__(
        self,
        model: nn.Module,
        with_preprocessing: bool = False,
        bgr: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(model, DenseModel):
            raise ExportError(
                f'the file holds a {type(model).__name__}, which gives '
                'neither logits nor a feature; export the student that its '
                'backbone started from, or its backbone with --format mmdet'
            )
        self.model = model
        self.with_preprocessing = with_preprocessing
        self.bgr = bgr
        self.classifies = (
            isinstance(model, ImageClassifier) and model.with_head
        )
        if with_preprocessing:
            given = model.data_preprocessor
            one = torch.ones(())
            self.register_buffer('mean', getattr(given, 'mean', 0 * one))
            self.register_buffer('std', getattr(given, 'std', one))
            self.divisor = getattr(given, 'pad_size_divisor', 1)
            self.pad_value = getattr(given, 'pad_value', 0)

    def forward(self, images: Tensor) -> Tensor:
        """Logits or features of a batch."""
        if self.with_preprocessing:
            if self.bgr:
                images = images.flip(1)
            images = (images - self.mean) / self.std
            height, width = images.shape[-2:]
            right, below = -width % self.divisor, -height % self.divisor
            if right or below:
                images = F.pad(
                    images, (0, right, 0, below), value=self.pad_value
                )
        if self.classifies:
            return self.model(images, mode='tensor')
        outputs = self.model.backbone(images)
        # The neck of MMPretrain's algorithms is a projection.
        is_algorithm = isinstance(self.model, BaseSelfSupervisor)
        if self.model.neck is not None and not is_algorithm:
            outputs = self.model.neck(outputs)
        feature = outputs[-1] if isinstance(outputs, tuple) else outputs
        return feature.mean(dim=(2, 3)) if feature.ndim == 4 else feature


def prepared_as(student: Student) -> str:
    """What has to be done to RGB images of 0 to 255, as a sentence."""
    if not student.knows_preprocessing:
        return (
            'the file does not say how images were normalized (earlier '
            'versions lost it): normalize them as in training, or give '
            '--config with the config of the training'
        )
    order = 'gray' if student.channels == 1 else 'RGB'
    if sees_bgr(student.cfg):
        order = 'BGR (turn RGB round)'
    given = student.model.data_preprocessor
    if getattr(given, 'mean', None) is None:
        return f'images are taken {order}, as they are, 0 to 255'
    mean, std = (
        [round(float(x), 4) for x in getattr(given, name).flatten()]
        for name in ('mean', 'std')
    )
    return f'images are taken {order}, 0 to 255, minus {mean}, over {std}'


def require_equal(
    actual: Tensor, expected: Tensor, bound: float, what: str
) -> float:
    """The largest difference over the largest expected magnitude.

    Raises:
        ExportError: if it is above ``bound``, or the shapes differ.
    """
    if actual.shape != expected.shape:
        raise ExportError(
            f'{what} answers with shape {tuple(actual.shape)} where the '
            f'student answers with {tuple(expected.shape)}; nothing was '
            'written'
        )
    scale = expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    difference = float((actual - expected).abs().max() / scale)
    if not difference <= bound:
        raise ExportError(
            f'{what} answers otherwise than the student: they differ by '
            f'{difference:.1e} of the largest value, {bound:.0e} is allowed; '
            'nothing was written'
        )
    return difference
