from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from mmdistill.registry import METRICS


@METRICS.register_module()
class AUC(BaseMetric):
    """Area under the ROC curve, one class against the rest, in percent.

    It is the mean over classes, or for two classes the AUC of the second
    one's score. scikit-learn computes it.

    Paper: Chen et al., Wasserstein Contrastive Representation Distillation,
    CVPR 2021, https://arxiv.org/abs/2012.08674: the metric of the
    privileged-information experiments (supplement, Table 2).

    Args:
        collect_device, prefix: as in MMEngine's ``BaseMetric``.
    Raises:
        ValueError: if a class does not occur in the data.
    Config:
        val_evaluator=[dict(type='Accuracy'), dict(type='AUC')]
    """

    default_prefix = 'auc'

    @staticmethod
    def reported(**_: Any) -> list[str]:
        """Names of what it reports, by its settings; see `doctor`."""
        return ['macro']

    def process(self, data_batch: Sequence, data_samples: Sequence) -> None:
        """Store the scores and labels of a batch of predictions."""
        for sample in data_samples:
            score, label = sample['pred_score'], sample['gt_label']
            self.results.append((score.cpu(), label.cpu().flatten()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``macro``: the mean over classes, in percent."""
        from sklearn.metrics import roc_auc_score

        scores = torch.stack([score for score, _ in results]).double()
        labels = torch.cat([label for _, label in results])
        absent = sorted(set(range(scores.shape[1])) - set(labels.tolist()))
        if absent:
            raise ValueError(
                f'AUC is not defined for classes without a sample: {absent}; '
                'evaluate on data that has every class'
            )
        # float32 scores do not sum to 1 exactly; scikit-learn requires it.
        scores = scores / scores.sum(dim=1, keepdim=True)
        if scores.shape[1] == 2:
            value = roc_auc_score(labels.numpy(), scores[:, 1].numpy())
        else:
            value = roc_auc_score(
                labels.numpy(), scores.numpy(), multi_class='ovr'
            )
        return dict(macro=100 * float(value))
