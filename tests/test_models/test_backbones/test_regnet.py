import pytest
import torch
from torchvision.models.regnet import BlockParams, RegNet

from mmdistill.models import RepresentationReader
from mmdistill.models.backbones import RegNetY
from mmdistill.registry import MODELS

# RegNetY-600MF by its tables, not by the rule that makes them.
TABLE = BlockParams(
    depths=[1, 3, 7, 4],
    widths=[48, 112, 256, 608],
    group_widths=[16] * 4,
    bottleneck_multipliers=[1.0] * 4,
    strides=[2] * 4,
    se_ratio=0.25,
)


def test_maps_are_torchvisions():
    torch.manual_seed(0)
    reference = RegNet(TABLE).eval()
    ours = RegNetY(out_indices=(0, 1, 2, 3))
    ours.eval()
    state = {
        key: value
        for key, value in reference.state_dict().items()
        if not key.startswith('fc.')
    }
    ours.load_state_dict(state, strict=True)
    expected = []
    for stage in reference.trunk_output:
        stage.register_forward_hook(lambda *args: expected.append(args[2]))
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        scores, maps = reference(image), ours(image)
        again = reference.fc(maps[-1].mean(dim=(2, 3)))
    assert len(maps) == len(expected) == 4
    for got, wanted in zip(maps, expected, strict=True):
        assert torch.equal(got, wanted)
    torch.testing.assert_close(again, scores)
    assert [m.shape[1] for m in maps] == list(ours.widths) == TABLE.widths


def test_parameters():
    """6.1 M with the classifier (OSS, Table 4), exactly torchvision's."""
    count = sum(p.numel() for p in RegNetY().parameters()) + 608 * 1000 + 1000
    assert count == sum(p.numel() for p in RegNet(TABLE).parameters())
    assert count == 6_055_160


def test_reader_numbers_the_stages():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='RegNetY'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=608),
        )
    ).eval()
    reader = RepresentationReader(model)
    _, shapes = reader.dry_run((3, 64, 64), with_maps=True)
    assert shapes == {
        1: (1, 48, 16, 16),
        2: (1, 112, 8, 8),
        3: (1, 256, 4, 4),
        4: (1, 608, 2, 2),
    }
    reader.numbers = (2, 4)
    seen = reader(torch.randn(2, 3, 64, 64))
    assert [m.shape[1] for m in seen.maps] == [112, 608]
    assert seen.feature.shape == (2, 608)


@pytest.mark.parametrize('indices', [(), (4,), (-1,), (1, 1)])
def test_unknown_stages(indices):
    with pytest.raises(ValueError, match=r'\[0, 1, 2, 3\]'):
        RegNetY(out_indices=indices)
