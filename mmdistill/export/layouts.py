"""Students in the layouts of torchvision, timm and MMDetection."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from types import ModuleType

import torch
import torchvision
from torch import Tensor, nn

from mmdistill.export.matching import match_layers
from mmdistill.export.students import Deployed, Student, require_equal

_SAME_OUTPUT = 1e-5
# Where torchvision's networks have their classifier.
_CLASSIFIERS = ('fc', 'classifier', 'head', 'heads')


def optional(name: str) -> ModuleType:
    """A package that only exports need.

    Raises:
        ModuleNotFoundError: if it is not installed; it says how to.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'this export needs {error.name}, which is not installed: '
            "pip install 'mmdistill[export]'"
        ) from error


def to_library(
    student: Student, library: str, arch: str, size: tuple[int, int]
) -> tuple[dict[str, Tensor], list[str]]:
    """The student's weights under the names of another library's network.

    Both networks see the same images, and a layer of the one is that layer of
    the other which is of the same kind and shapes and sees the same input. So
    there is no table of names, and the order of layers does not matter. Then
    a fresh network loads the result strictly, and must answer the same.

    Args:
        student: of any architecture.
        library: 'torchvision' or 'timm'.
        arch: the library's name of the architecture.
        size: (height, width) of the images.
    Returns:
        the state dict; and its keys that a network with a classifier has
        more, if the student has none.
    Raises:
        ModuleNotFoundError: if timm is not installed.
        ValueError: if the library has no such architecture.
        ExportError: if the architectures differ; it says where.
    """
    deployed = Deployed(student.model).eval()
    images = student.images(size)
    with torch.no_grad():
        expected = deployed(images)
    classes = expected.shape[1] if deployed.classifies else None
    build = _builder(library, arch, classes, student.channels)
    own = deployed.state_dict()
    name = f"{library}'s {arch}"
    state = {
        key: own[source]
        for key, source in match_layers(
            deployed, build(), images, name
        ).items()
    }
    network = build()
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        actual = network.eval()(images)
    require_equal(actual, expected, _SAME_OUTPUT, name)
    absent = []
    if classes is None:
        whole = _builder(library, arch, 1000, student.channels)()
        absent = sorted(whole.state_dict().keys() - state.keys())
    return state, absent


def _builder(
    library: str, arch: str, classes: int | None, channels: int
) -> Callable[[], nn.Module]:
    """Builds the library's network, without classifier if classes is None."""
    if library == 'timm':
        timm = optional('timm')
        _check_name(arch, timm.list_models(), library)
        return lambda: timm.create_model(
            arch, num_classes=classes or 0, in_chans=channels
        )
    known = torchvision.models.list_models(torchvision.models)
    _check_name(arch, known, library)

    def build() -> nn.Module:
        settings = {} if classes is None else dict(num_classes=classes)
        network = torchvision.models.get_model(arch, **settings)
        if classes is None:
            for name in _CLASSIFIERS:
                if hasattr(network, name):
                    setattr(network, name, nn.Identity())
        return network

    return build


def _check_name(arch: str, known: list[str], library: str) -> None:
    if arch in known:
        return
    near = difflib.get_close_matches(arch, known, n=5, cutoff=0.5)
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    raise ValueError(
        f'{library} has no architecture {arch!r}; change --arch{hint}'
    )


# Arguments of ResNet that MMPretrain's and MMDetection's have alike.
_RESNET = (
    'type', 'depth', 'in_channels', 'stem_channels', 'base_channels',
    'num_stages', 'strides', 'dilations', 'style', 'deep_stem', 'avg_down',
    'conv_cfg', 'norm_cfg', 'norm_eval', 'zero_init_residual', 'with_cp',
)  # fmt: skip


def to_mmdet(student: Student, path: str) -> dict:
    """The backbone alone, for ``init_cfg`` of one of MMDetection's models.

    MMDetection's ResNet has MMPretrain's names. Every other backbone is used
    from here, which ``meta.snippet`` says how to do.

    Args:
        student: any.
        path: where the file will lie, for the snippet.
    Returns:
        ``state_dict`` without a prefix, and ``meta`` with ``snippet``, the
        lines that a config of MMDetection needs.
    """
    backbone = {'type': None, **student.cfg.model.backbone}  # type first
    lines = []
    if backbone['type'] == 'ResNet' and set(backbone) <= {
        *_RESNET, 'out_indices', 'init_cfg'
    }:  # fmt: skip
        backbone['out_indices'] = (0, 1, 2, 3)
        backbone.setdefault('style', 'pytorch')
    else:
        module = type(student.model.backbone).__module__
        scope = (
            'mmpretrain' if module.startswith('mmpretrain') else 'mmdistill'
        )
        if module.startswith(scope):
            module = f'{scope}.models'  # else a plug-in, in our registry
        kind = backbone['type'].split('.')[-1]
        backbone['type'] = f'{scope}.{kind}'
        lines = [
            f"custom_imports = dict(imports=['{module}'])",
            '# out_indices: the maps that the neck wants',
        ]
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    lines.append(f'model = dict(backbone={_as_code(backbone)})')
    state = {
        key.removeprefix('backbone.'): value
        for key, value in student.checkpoint['state_dict'].items()
        if key.startswith('backbone.')
    }
    return dict(meta=dict(snippet='\n'.join(lines)), state_dict=state)


def _as_code(settings: dict) -> str:
    inside = ', '.join(
        f'{key}={_as_code(value) if isinstance(value, dict) else repr(value)}'
        for key, value in settings.items()
    )
    return f'dict({inside})'
