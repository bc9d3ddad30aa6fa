import pytest
import torch
import torch.nn.functional as F

from mmdistill.models.losses import FeatureRegressionLoss
from mmdistill.registry import MODELS


def features(size=5):
    draw = torch.Generator().manual_seed(0)
    return torch.randn(size, 3, generator=draw), torch.randn(
        size, 4, generator=draw
    )


@pytest.mark.parametrize('batch_norm', [False, True])
def test_by_hand(batch_norm):
    """2 - 2 cos of every sample, the mean of them."""
    torch.manual_seed(1)
    loss = FeatureRegressionLoss(3, 4, batch_norm=batch_norm, loss_weight=2.0)
    student, teacher = features()
    linear = loss.regressor[0]
    mapped = student @ linear.weight.t() + linear.bias
    if batch_norm:
        centred = mapped - mapped.mean(dim=0)
        mapped = centred / (mapped.var(dim=0, correction=0) + 1e-5).sqrt()
    expected = 2 * (2 - 2 * F.cosine_similarity(mapped, teacher)).mean()
    torch.testing.assert_close(loss(student, teacher), expected)


def test_only_the_linear_map_learns():
    loss = FeatureRegressionLoss(3, 4, batch_norm=True)
    learning = dict(loss.named_parameters())
    assert set(learning) == {'regressor.0.weight', 'regressor.0.bias'}
    assert loss.min_batch == 2 and FeatureRegressionLoss(3, 4).min_batch == 1
    assert MODELS.get('FeatureRegressionLoss') is FeatureRegressionLoss


def test_equal_directions_give_zero():
    loss = FeatureRegressionLoss(4, 4)
    with torch.no_grad():
        loss.regressor[0].weight.copy_(3 * torch.eye(4))
        loss.regressor[0].bias.zero_()
    _, teacher = features()
    assert loss(7 * teacher, teacher) < 1e-12
