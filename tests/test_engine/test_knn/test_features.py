"""The features of a dataset."""

import pytest
import torch
from helpers import tiny_classifier
from knn_runs import loader

from mmdistill.engine.knn.features import extract_features
from mmdistill.registry import MODELS


def test_features_are_the_pooled_ones_in_the_datasets_order():
    model = MODELS.build(tiny_classifier()).eval()
    shuffled = loader(20)
    found, labels = extract_features(model, shuffled, 20)
    items = [shuffled.dataset[i] for i in range(20)]
    images = torch.stack([item['inputs'] for item in items])
    expected = model.extract_feat(images.float())[0]
    torch.testing.assert_close(found, expected)
    expected = [int(item['data_samples'].gt_label) for item in items]
    assert labels.tolist() == expected


@pytest.mark.parametrize('missing', ['drop_last', 'feature'])
def test_incomplete_features(missing):
    cfg = tiny_classifier()
    if missing == 'feature':
        cfg.update(neck=None, head=None)
    model = MODELS.build(cfg).eval()
    batches = loader(30, drop_last=missing == 'drop_last')
    message = '2 of 30 samples .*drop_last=False|no feature .*neck'
    with pytest.raises(ValueError, match=message):
        extract_features(model, batches, 30)
