from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.ops import class_mean_scores, full_precision
from mmdistill.registry import MODELS


@MODELS.register_module()
class PrototypicalLoss(nn.Module):
    """Classify the queries of an episode by the nearest class mean.

    The mean over queries of -log p(y | z), where p is the softmax over
    classes k of -|z - c_k|^2 and c_k is the mean of the class's support
    features.

    This is the task loss of a `PrototypicalNetwork`: it has no teacher and so
    no level. A batch must be one episode in the order of `EpisodeSampler`;
    the number of classes follows from the batch size. Only the first batch is
    checked, because a check of each batch would synchronize with the GPU.

    Paper: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175, eqs. 1 and 2, algorithm 1.

    Args:
        shot, query: support and query images of each class.
        loss_weight: factor on the loss.
    Shape:
        feature: (way * (shot + query), D); label: (way * (shot + query),);
        returns ().
    Raises:
        ValueError: if the batch is not such an episode.
    Config:
        model=dict(type='PrototypicalNetwork', episode=dict(shot=1, query=5))
    """

    def __init__(
        self, shot: int, query: int, loss_weight: float = 1.0
    ) -> None:
        super().__init__()
        if shot < 1 or query < 1:
            raise ValueError(
                'PrototypicalLoss needs shot >= 1 and query >= 1, got '
                f'shot={shot} and query={query}'
            )
        self.shot = shot
        self.query = query
        self.loss_weight = loss_weight
        self._checked = False

    @full_precision
    def forward(self, feature: Tensor, label: Tensor) -> Tensor:
        way, rest = divmod(len(feature), self.shot + self.query)
        if way < 2 or rest:
            raise self._no_episode(f'a batch of {len(feature)}')
        if not self._checked:
            self._check(label, way)
            self._checked = True
        support, query = feature.tensor_split([way * self.shot])
        scores = class_mean_scores(
            support.unflatten(0, (way, self.shot)), query
        )
        target = torch.arange(way, device=feature.device)
        target = target.repeat_interleave(self.query)
        return self.loss_weight * F.cross_entropy(scores, target)

    def _check(self, label: Tensor, way: int) -> None:
        """Raise unless the labels are those of one episode."""
        support, query = label.tensor_split([way * self.shot])
        support = support.view(way, self.shot)
        query = query.view(way, self.query)
        classes = support[:, :1]
        if (
            (support != classes).any()
            or (query != classes).any()
            or len(classes.unique()) < way
        ):
            raise self._no_episode('labels in another order')

    def _no_episode(self, got: str) -> ValueError:
        size = self.shot + self.query
        return ValueError(
            f'PrototypicalLoss takes one episode a batch, way * ({self.shot} '
            f'support + {self.query} query) images, all support first, and '
            f'got {got}; set train_dataloader.sampler=dict(type='
            f"'EpisodeSampler', way=..., shot={self.shot}, "
            f'query={self.query}) and train_dataloader.batch_size=way * {size}'
        )

    def extra_repr(self) -> str:
        return (
            f'shot={self.shot}, query={self.query}, '
            f'loss_weight={self.loss_weight}'
        )
