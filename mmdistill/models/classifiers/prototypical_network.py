from __future__ import annotations

from typing import Any

import torch
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from mmdistill.models.representation import RepresentationReader
from mmdistill.registry import MODELS
from mmdistill.structures import BatchedSamples


@MODELS.register_module()
class PrototypicalNetwork(ImageClassifier):
    """Few-shot classification of unseen classes by their class means.

    The network is trained on episodes, with `PrototypicalLoss` on its feature,
    and validated on episodes (`EpisodeValLoop`). An optional head is an
    auxiliary classifier over all training classes, whose loss is added; online
    distillation compares its logits. In a distiller both are the task loss.

    Papers: Snell et al., Prototypical Networks for Few-shot Learning, NeurIPS
    2017, https://arxiv.org/abs/1703.05175; the auxiliary classifier: Yang et
    al., Multi-view Contrastive Learning for Online Knowledge Distillation,
    ICASSP 2021, https://arxiv.org/abs/2006.04093, section 4.2 of the earlier,
    longer version there.

    Args:
        backbone, neck: as in MMPretrain's ImageClassifier.
        head: the auxiliary classifier, a ClsHead whose ``loss`` sets its
            weight; None for no auxiliary classifier.
        episode: arguments of `PrototypicalLoss`: ``shot`` and ``query`` as in
            `EpisodeSampler`.
        kwargs: further arguments of ImageClassifier.
    Raises:
        ValueError: if a batch has no labels or is not an episode.
    Config:
        model=dict(
            type='PrototypicalNetwork',
            backbone=dict(type='ConvNet4', in_channels=1),
            neck=dict(type='FlattenNeck'),
            episode=dict(shot=1, query=5))
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | nn.Module | None = None,
        head: dict | nn.Module | None = None,
        *,
        episode: dict,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, neck, head, **kwargs)
        self.episode_loss = MODELS.build(
            {'type': 'PrototypicalLoss', **episode}
        )
        self._read = RepresentationReader(self)

    def loss(
        self, inputs: Tensor, data_samples: list | BatchedSamples
    ) -> dict[str, Tensor]:
        """``episode_loss`` and, with a head, ``classifier_loss``.

        Args:
            inputs: (N, C, H, W), one episode.
            data_samples: N samples with labels.
        """
        representation = self._read(inputs)
        label = _labels(data_samples).to(inputs.device)
        losses = dict(
            episode_loss=self.episode_loss(representation.feature, label)
        )
        if self.with_head:
            losses['classifier_loss'] = self.head.loss_module(
                representation.logits.float(), label
            )
        return losses

    def predict(self, *args: Any, **kwargs: Any) -> list:
        """The auxiliary classifier's predictions."""
        if not self.with_head:
            raise ValueError(
                'a PrototypicalNetwork without a head has no classes of its '
                "own to predict; set val_cfg=dict(type='EpisodeValLoop'), "
                "test_cfg=dict(type='EpisodeTestLoop') and no metric in "
                'val_evaluator and test_evaluator'
            )
        return super().predict(*args, **kwargs)


def _labels(samples: list | BatchedSamples) -> Tensor:
    if isinstance(samples, BatchedSamples):
        label = samples.gt_label
    elif all('gt_label' in sample for sample in samples):
        label = torch.cat([sample.gt_label for sample in samples])
    else:
        label = None
    if label is None:
        raise ValueError(
            'PrototypicalNetwork learns from labels, which this batch lacks; '
            'use a labeled dataset in train_dataloader'
        )
    return label
