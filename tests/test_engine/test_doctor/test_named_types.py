"""Types by their names, whatever they are."""

import pytest

from mmdistill import registry
from mmdistill.engine.doctor.named_types import names_a_model, registered


def test_registered():
    assert registered(registry.MODELS, 'mmdistill.KDLoss').__name__ == 'KDLoss'
    assert registered(registry.MODELS, 'KDLos') is None
    assert registered(registry.MODELS, 'no_such_package.Net') is None
    assert registered(registry.MODELS, dict) is dict


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [
        ('timm/resnet18', True),
        ('work_dirs/a/student.pth', True),
        ('student.pth', True),
        ('ResNet', False),
        ('mmpretrain.ResNet', False),
        (dict, False),
        (None, False),
    ],
)
def test_names_of_models(kind, expected):
    assert names_a_model(kind) == expected
