"""Parts that a network may have or not."""

import pytest
from helpers import tiny_classifier, tiny_encoder
from torch import nn

from mmdistill.models.parts import (
    dropout_of_head,
    gives_pre_activation,
    head_of,
    is_encoder,
    prototypes_of,
    stages_among,
)
from mmdistill.registry import MODELS

PROTOTYPES = dict(type='PrototypeHead', num_prototypes=5)


def test_a_classifier_has_a_head_alone():
    model = MODELS.build(tiny_classifier())
    assert head_of(model) is model.head
    assert prototypes_of(model) is None and not is_encoder(model)
    assert dropout_of_head(model) == ()


@pytest.mark.parametrize('prototypes', [None, PROTOTYPES])
def test_an_encoder_is_one_without_prototypes_too(prototypes):
    model = MODELS.build(tiny_encoder(prototypes=prototypes))
    assert is_encoder(model)
    assert (prototypes_of(model) is None) == (prototypes is None)


def test_rates_of_dropout_are_those_above_zero():
    model = MODELS.build(tiny_encoder(dropout=(0.5, 0.0)))
    assert dropout_of_head(model) == (0.5,)


def test_a_module_of_another_library_has_no_part():
    model = nn.Linear(2, 2)
    assert head_of(model) is None and prototypes_of(model) is None
    assert not is_encoder(model) and not gives_pre_activation(model)


def test_a_pooled_map_is_no_stage():
    resnet = MODELS.build(dict(type='CIFARResNet', depth=8))
    assert stages_among(resnet, [3, 1, 2]) == [1, 2, 3]
    wide = MODELS.build(dict(type='CIFARWideResNet', depth=10, widen_factor=1))
    assert stages_among(wide, [4, 3, 1, 2]) == [1, 2, 3]
    assert gives_pre_activation(resnet) and gives_pre_activation(wide)
