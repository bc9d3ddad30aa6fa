"""Class tokens of several blocks side by side."""

import pytest
import torch

from mmdistill.registry import MODELS


def neck(**kwargs):
    return MODELS.build(dict(type='ClassTokensNeck', **kwargs))


def test_tokens_and_the_last_blocks_mean_patch():
    blocks = tuple(torch.randn(2, 5, 3) for _ in range(2))
    (found,) = neck()(blocks)
    own = torch.cat([block[:, 0] for block in blocks], dim=1)
    assert torch.equal(found, own)
    (found,) = neck(mean_patch=True)(blocks)
    assert torch.equal(found[:, :6], own)
    torch.testing.assert_close(found[:, 6:], blocks[1][:, 1:].mean(1))


def test_maps_are_no_tokens():
    with pytest.raises(ValueError, match=r"backbone\.out_type='raw'"):
        neck()((torch.randn(2, 3, 4, 4),))
