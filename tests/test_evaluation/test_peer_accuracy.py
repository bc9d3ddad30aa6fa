import pytest
import torch

from mmdistill.evaluation import PeerAccuracy


def sample(label: int, *choices: int, others: float = 0.0) -> dict:
    """Three classes; each peer is sure of its choice."""
    scores = torch.full((len(choices), 3), others)
    for peer, choice in enumerate(choices):
        scores[peer, choice] = 1.0
    return dict(gt_label=torch.tensor([label]), peer_scores=scores)


def evaluate(*batches) -> dict:
    metric = PeerAccuracy()
    for batch in batches:
        metric.process({}, batch)
    return metric.evaluate(sum(map(len, batches)))


def test_by_hand():
    found = evaluate(
        [sample(0, 0, 0, 0), sample(1, 1, 1, 2)],
        [sample(2, 0, 0, 2), sample(0, 1, 2, 1)],
    )
    assert found == {
        'peers/top1_1': 50.0,
        'peers/top1_2': 50.0,
        'peers/top1_3': 50.0,
        'peers/leader': 50.0,
        'peers/ensemble': 50.0,  # 0, 1 are right; 0 and 1 are not
        # pairs (1, 2), (1, 3), (2, 3) differ in 1, 2 and 3 of 4 samples
        'peers/disagreement': pytest.approx((25 + 50 + 75) / 3),
    }


def test_the_ensemble_is_the_mean_of_logits():
    """Not of probabilities, nor a vote: one peer outweighs two here."""
    scores = torch.tensor([[9.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    one = dict(gt_label=torch.tensor([0]), peer_scores=scores)
    assert scores.softmax(1).mean(0).argmax() == 1
    assert evaluate([one])['peers/ensemble'] == 100.0


def test_the_ensemble_of_a_method_stands_before_the_mean():
    """ONE is tested with its gated ensemble, as in the authors' code."""
    gated = torch.eye(3)
    one = dict(sample(0, 1, 1, 0), ensemble_scores=gated[0])
    other = dict(sample(2, 2, 2, 0), ensemble_scores=gated[2])
    found = evaluate([one], [other])
    assert found['peers/ensemble'] == 100.0
    assert found['peers/ensemble_mean'] == 50.0
    assert 'peers/ensemble_mean' not in evaluate([sample(0, 0, 0)])


def test_without_peers_there_is_nothing_to_say():
    assert evaluate([dict(gt_label=torch.tensor([0]))]) == {}


def test_half_precision_scores():
    half = sample(2, 2, 2)
    half['peer_scores'] = half['peer_scores'].bfloat16()
    assert evaluate([half])['peers/disagreement'] == 0.0
