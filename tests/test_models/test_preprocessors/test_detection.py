"""Images of different sizes are moved and scaled."""

import pytest
import torch
from detection_data import batch, build


def test_preprocessor_moves_and_scales_images_alone():
    data = batch(2)
    out = build().data_preprocessor(data, True)
    for image, given in zip(out['inputs'], data['inputs'], strict=True):
        assert torch.equal(image, given.float() / 255)
    assert out['data_samples'] is data['data_samples']
    with pytest.raises(TypeError, match='uint8.*normalization'):
        build().data_preprocessor(dict(inputs=[torch.rand(3, 4, 4)]))
