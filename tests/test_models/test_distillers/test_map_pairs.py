"""Which maps of two networks are compared, if a loss leaves that open."""

import pytest

from mmdistill.models.distillers.endpoint import Endpoint
from mmdistill.models.distillers.map_pairs import pair_maps
from mmdistill.models.network_maps import level_of


class Maps(Endpoint):
    """A model of images of 64 pixels, with maps of these sides."""

    def __init__(self, name, sides):
        self.name = name
        self.sides = dict(enumerate(sides, 1))

    def map_level(self, number):
        return level_of(self.sides[number], 64)


RESNET = [16, 8, 4, 2]
MOBILENET = [32, 16, 8, 4, 4, 2, 2, 2]
VIT = [4] * 12


@pytest.mark.parametrize(
    'student, teacher, expected',
    [
        (RESNET, RESNET, ((1, 2, 3, 4), (1, 2, 3, 4))),
        # as many: in order, whatever their strides
        ([32, 16, 8], [64, 32, 16], ((1, 2, 3), (1, 2, 3))),
        # the last map of each stride that both have
        (MOBILENET, RESNET, ((2, 3, 5, 8), (1, 2, 3, 4))),
        (RESNET, [15, 7], ((1, 2), (1, 2))),
        # blocks of one stride: at even steps
        (RESNET, VIT, ((1, 2, 3, 4), (3, 6, 9, 12))),
        (VIT, MOBILENET, ((3, 5, 8, 10, 12), (1, 2, 3, 5, 8))),
        (VIT, [4] * 8, ((3, 6, 9, 12), (2, 4, 6, 8))),
        ([4] * 3, VIT, ((1, 2, 3), (4, 8, 12))),
        (RESNET, [4, 4], ((3, 4), (1, 2))),
        # no stride in common: the last ones
        ([64, 32], [16, 8, 4], ((1, 2), (2, 3))),
    ],
)
def test_pairs(student, teacher, expected):
    pair = Maps('student', student), Maps('teacher', teacher)
    chosen = {end.name: tuple(end.sides) for end in pair}
    found = pair_maps(pair, chosen)
    assert (found['student'], found['teacher']) == expected
