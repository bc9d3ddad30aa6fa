"""Maps as features, without pooling."""

import torch

from mmdistill.registry import MODELS


def test_every_number_of_a_map_is_kept_in_its_order():
    maps = torch.randn(2, 3, 4, 5), torch.randn(2, 1, 1, 1)
    found = MODELS.build(dict(type='FlattenNeck'))(maps)
    assert [x.shape for x in found] == [(2, 60), (2, 1)]
    assert torch.equal(found[0].view(2, 3, 4, 5), maps[0])
