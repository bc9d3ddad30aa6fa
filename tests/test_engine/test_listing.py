"""Names as a user asks for them."""

import pytest

from mmdistill.engine.listing import KINDS, names_of


@pytest.mark.parametrize(
    ('kind', 'one'),
    [
        ('models', 'cifar/resnet8'),
        ('methods', 'kd '),
        ('losses', 'CRDLoss '),
        ('distillers', 'CoCoRD '),
        ('datasets', 'OwnImages'),
        ('transforms', 'MultiCrop '),
        ('hooks', 'MomentumUpdateHook '),
        ('metrics', 'PeerAccuracy '),
        ('formats', 'onnx '),
    ],
)
def test_each_kind_has_names(kind, one):
    assert kind in KINDS
    lines = names_of(kind, f'{one.strip().partition("/")[0]}*')
    assert any(line.startswith(one) for line in lines)
    assert not names_of(kind, 'there is no such thing')
