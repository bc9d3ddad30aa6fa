import itertools

import pytest
import torch
from mmpretrain.structures import DataSample

from mmdistill.registry import METRICS


def evaluate(scores, labels):
    metric = METRICS.build(dict(type='AUC'))
    samples = [
        DataSample().set_gt_label(y).set_pred_score(s).to_dict()
        for s, y in zip(scores, labels, strict=True)
    ]
    metric.process([], samples)
    return metric.compute_metrics(metric.results)['macro']


def by_pairs(score, positive):
    """The chance that a positive scores above a negative; ties count half."""
    pairs = list(itertools.product(score[positive], score[~positive]))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / (
        len(pairs)
    )


@pytest.mark.parametrize('classes', [2, 4])
def test_by_counting_pairs(classes):
    scores = torch.randn(40, classes).softmax(1)
    labels = torch.arange(40) % classes
    of_class = [by_pairs(scores[:, c], labels == c) for c in range(classes)]
    expected = of_class[1] if classes == 2 else sum(of_class) / classes
    assert evaluate(scores, labels) == pytest.approx(100 * expected)


def test_absent_class():
    scores = torch.randn(6, 3).softmax(1)
    with pytest.raises(ValueError, match=r'\[2\]'):
        evaluate(scores, torch.tensor([0, 1, 0, 1, 0, 1]))
