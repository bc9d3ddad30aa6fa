"""What has to be done to images, and answers that differ."""

import pytest
import torch
from mmengine.config import Config

from mmdistill.export import ExportError
from mmdistill.export.deployed import require_equal
from mmdistill.utils.pipelines import sees_bgr

LOADS = dict(type='LoadImageFromFile')


@pytest.mark.parametrize(
    ('step', 'to_rgb', 'expected'),
    [
        (LOADS, False, True),
        (LOADS, True, False),
        (dict(LOADS, color_type='grayscale'), False, False),
        (dict(type='PackInputs'), False, False),
    ],
)
def test_images_that_opencv_reads_are_bgr(step, to_rgb, expected):
    dataset = dict(type='CustomDataset', pipeline=[step])
    model = dict(data_preprocessor=dict(to_rgb=to_rgb))
    cfg = Config(dict(model=model, val_dataloader=dict(dataset=dataset)))
    assert sees_bgr(cfg) == expected


def test_equal_within_a_bound():
    expected = torch.tensor([4.0, -2.0])
    difference = require_equal(expected + 1e-3, expected, 1e-3, 'ONNX')
    assert difference == pytest.approx(2.5e-4, rel=1e-3)
    with pytest.raises(ExportError, match='ONNX answers otherwise .* 2.5e-04'):
        require_equal(expected + 1e-3, expected, 1e-4, 'ONNX')
    with pytest.raises(ExportError, match='otherwise'):
        require_equal(expected * torch.nan, expected, 1e-4, 'ONNX')
    with pytest.raises(ExportError, match=r'shape \(1,\) .*with \(2,\)'):
        require_equal(expected[:1], expected, 1e-4, 'ONNX')
