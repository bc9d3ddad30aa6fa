from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from mmdistill.registry import METRICS


@METRICS.register_module()
class AUC(BaseMetric):
    """Area under the ROC curve, in percent: one class against the rest.

    The mean over classes; for two classes, of the second one's score. The
    metric of WCoRD's privileged-information experiments (supplement, Table
    2). scikit-learn computes it.

    Args:
        collect_device, prefix: as of MMEngine's ``BaseMetric``.
    Raises:
        ValueError: if a class does not occur in the data.
    Config:
        val_evaluator=[dict(type='Accuracy'), dict(type='AUC')]
    """

    default_prefix = 'auc'

    def process(self, data_batch: Sequence, data_samples: Sequence) -> None:
        """Keep scores and labels of a batch of predictions."""
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
        # Scores that are rounded in float32 do not sum to 1 exactly.
        scores = scores / scores.sum(dim=1, keepdim=True)
        if scores.shape[1] == 2:
            value = roc_auc_score(labels.numpy(), scores[:, 1].numpy())
        else:
            value = roc_auc_score(
                labels.numpy(), scores.numpy(), multi_class='ovr'
            )
        return dict(macro=100 * float(value))
