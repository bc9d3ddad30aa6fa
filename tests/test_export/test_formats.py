"""What a format says of itself, and options that do not go together."""

import pytest
from helpers import tiny_classifier

from mmdistill.export import ExportFormat, ExportOptions
from mmdistill.export.formats import (
    all_formats,
    check_options,
    find_format,
    optional,
)


def test_formats_are_found_by_their_names():
    found = all_formats()
    assert {'mmpretrain', 'torchvision', 'timm', 'mmdet', 'onnx'} <= set(found)
    for name, kind in found.items():
        assert find_format(name) is kind and issubclass(kind, ExportFormat)
        assert kind.about and kind.suffixes
    with pytest.raises(KeyError, match="no format 'onx'; did you mean onnx"):
        find_format('onx')


@pytest.mark.parametrize(
    ('name', 'path', 'options', 'message'),
    [
        ('timm', 'x.onnx', dict(arch='a'), "'x.onnx' and should end in .pth"),
        ('timm', 'x.pth', {}, '--format timm needs --arch, the library'),
        ('onnx', 'x.onnx', dict(arch='a'), '--arch has no meaning for'),
        ('mmdet', 'x.pth', dict(opset=18), '--opset has no meaning'),
    ],
)
def test_options_that_do_not_go_together(name, path, options, message):
    with pytest.raises(ValueError, match=message):
        check_options(find_format(name), name, path, ExportOptions(**options))


def test_options_that_do():
    options = ExportOptions(arch='resnet18', input_size=(32, 32))
    check_options(find_format('timm'), 'timm', 'x.pth', options)


def test_the_users_size_comes_first(student):
    found = student(tiny_classifier())
    assert ExportOptions(input_size=[8, 9]).size_for(found) == (8, 9)
    with pytest.raises(ValueError, match='give --input-size HEIGHT WIDTH'):
        ExportOptions().size_for(found)


def test_a_missing_package_is_named():
    assert optional('json').loads('1') == 1
    with pytest.raises(ModuleNotFoundError, match='needs no_such_package'):
        optional('no_such_package')
