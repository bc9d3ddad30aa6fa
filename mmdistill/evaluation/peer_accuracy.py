from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from mmdistill.registry import METRICS


@METRICS.register_module()
class PeerAccuracy(BaseMetric):
    """Accuracies of the peers of online distillation, and their diversity.

    In percent: ``top1_1`` ... ``top1_M`` of each peer, ``leader`` of the last
    one, ``ensemble``, and ``disagreement``: the fraction of samples for which
    two peers predict different classes, mean over all pairs (0 is what the
    paper calls homogenized).

    The ensemble is the mean of the peers' logits, unless the method has its
    own: for ONE it is the gated ensemble, as in the authors' code, and the
    accuracy of the mean is reported as ``ensemble_mean``.

    Samples without ``peer_scores`` are skipped, so an exported student gives
    no metrics.

    Paper: Yang et al., Multi-view Contrastive Learning for Online Knowledge
    Distillation, ICASSP 2021, https://arxiv.org/abs/2006.04093, eq. 4 and
    Tables 1 to 3 of the earlier, longer version there.

    Args:
        collect_device, prefix: as in MMEngine's ``BaseMetric``.
    Config:
        val_evaluator=[dict(type='Accuracy'), dict(type='PeerAccuracy')]
    """

    default_prefix = 'peers'

    @staticmethod
    def reported(**_: Any) -> list[str]:
        """Patterns of what it reports, by its settings; see `doctor`."""
        ensembles = ['ensemble', 'ensemble_mean']
        return ['top1_*', 'leader', *ensembles, 'disagreement']

    def process(self, data_batch: Sequence, data_samples: Sequence) -> None:
        """Store the classes of each peer and both ensembles, and the label.

        The method's own ensemble has class -1 if there is none.
        """
        samples = [s for s in data_samples if 'peer_scores' in s]
        if not samples:
            return
        scores = torch.stack([s['peer_scores'] for s in samples]).float()
        scores = torch.cat([scores, scores.mean(dim=1, keepdim=True)], dim=1)
        classes = scores.argmax(dim=2)
        label = torch.cat([s['gt_label'].flatten()[:1] for s in samples])
        own = torch.full_like(classes[:, 0], -1)
        if all('ensemble_scores' in s for s in samples):
            own = torch.stack([s['ensemble_scores'] for s in samples]).argmax(
                dim=1
            )
        rows = [classes, own[:, None], label.to(classes)[:, None]]
        self.results.extend(torch.cat(rows, dim=1).cpu())

    def compute_metrics(self, results: list) -> dict[str, float]:
        """All accuracies and the disagreement, in percent."""
        if not results:
            return {}
        *peers, mean, own, label = torch.stack(results).unbind(dim=1)
        accuracies = [_percent(peer == label) for peer in peers]
        pairs = [_percent(a != b) for a, b in combinations(peers, 2)]
        ensembles = dict(ensemble=_percent(mean == label))
        if (own >= 0).all():
            ensembles = dict(
                ensemble=_percent(own == label),
                ensemble_mean=_percent(mean == label),
            )
        return {
            **{f'top1_{i}': value for i, value in enumerate(accuracies, 1)},
            'leader': accuracies[-1],
            **ensembles,
            'disagreement': sum(pairs) / len(pairs),
        }


def _percent(chosen: torch.Tensor) -> float:
    return 100 * float(chosen.double().mean())
