"""Which arguments a class takes, through its bases."""

from functools import partial

import pytest
from mmengine.hooks import CheckpointHook
from mmpretrain.datasets import ImageNet
from torch.optim import SGD

from mmdistill.engine.doctor.accepted_arguments import accepted
from mmdistill.evaluation import MeanIoU


class Base:
    def __init__(self, width, depth=1):
        pass


class HandsOn(Base):
    def __init__(self, height, **kwargs):
        super().__init__(**kwargs)


class Reads(Base):
    def __init__(self, **kwargs):
        self.color = kwargs.pop('color', None)
        self.size = kwargs['size'] if 'size' in kwargs else 0
        kwargs = {'depth': 2, **kwargs}
        super().__init__(**kwargs)


class Keeps(Base):
    def __init__(self, height, **kwargs):
        self.options = kwargs
        super().__init__(1)


class Both(Base):
    def __init__(self, **kwargs):
        self.options = kwargs
        super().__init__(**kwargs)


def function(a, *, b=1):
    """Registered functions have arguments, too."""


@pytest.mark.parametrize(
    ('part', 'names', 'any_other'),
    [
        (Base, {'width', 'depth'}, False),
        (HandsOn, {'height', 'width', 'depth'}, False),
        (Reads, {'color', 'size', 'width', 'depth'}, False),
        (Keeps, {'height'}, True),
        (Both, set(), True),
        (type('Empty', (), {}), set(), False),
        (function, {'a', 'b'}, False),
        (partial(function, b=2), set(), True),
        (
            MeanIoU,
            {'num_classes', 'ignore_index', 'collect_device', 'prefix'}
            | {'collect_dir'},
            False,
        ),
    ],
    ids='base hands reads keeps both empty function partial metric'.split(),
)
def test_arguments(part, names, any_other):
    found = accepted(part)
    assert found.names == names
    assert found.any_other == any_other


def test_arguments_of_other_libraries():
    assert {'lr', 'momentum', 'weight_decay'} <= accepted(SGD).names
    images = accepted(ImageNet)
    assert {'split', 'extensions', 'with_label', 'indices'} <= images.names
    assert not images.any_other
    # it hands them to Runner.save_checkpoint
    assert accepted(CheckpointHook).any_other
