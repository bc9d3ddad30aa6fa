"""Colors of classes."""

from mmdistill.utils.palette import class_colors


def test_colours_of_the_development_kit():
    expected = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128),
        (128, 0, 128), (0, 128, 128), (128, 128, 128), (64, 0, 0),
    ]  # fmt: skip
    found = class_colors(256)
    assert found[:9].tolist() == [list(colour) for colour in expected]
    assert found[[15, 20, 255]].tolist() == [
        [192, 128, 128], [0, 64, 128], [224, 224, 192]
    ]  # fmt: skip
