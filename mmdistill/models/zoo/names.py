"""Models by name, wherever a student, a teacher or a model is asked for."""

from __future__ import annotations

import copy
import difflib
import fnmatch
import importlib.util
from collections.abc import Mapping
from functools import partial
from typing import Any

from mmengine.registry import DefaultScope
from torch import nn

from mmdistill.models.parts import quiet_weights
from mmdistill.models.zoo.from_configs import CIFAR, MMPretrain
from mmdistill.models.zoo.from_file import (
    config_of_file,
    info_of_file,
    is_file_name,
)
from mmdistill.models.zoo.from_hugging_face import HuggingFace
from mmdistill.models.zoo.from_timm import Timm
from mmdistill.models.zoo.from_torchvision import Torchvision
from mmdistill.models.zoo.library import (
    LIBRARY_NAMES,
    ConfigLibrary,
    Library,
    ModelInfo,
    ModelNameError,
)
from mmdistill.registry import MODELS

#: Libraries by what stands before the slash of a name.
LIBRARIES: dict[str, Library] = {
    kind.name: kind()
    for kind in (Timm, Torchvision, MMPretrain, CIFAR, HuggingFace)
}
#: What `NetworkClassifier` takes; other options are the library's.
OWN_OPTIONS = (
    'classifier',
    'data_preprocessor',
    'head',
    'in_channels',
    'init_cfg',
    'input_size',
    'maps',
    'num_classes',
    'pretrained',
    'train_cfg',
)


def is_model_name(value: Any) -> bool:
    """Whether a value names a model: 'library/name', or a checkpoint file."""
    return isinstance(value, str) and (
        '/' in value
        and value.partition('/')[0] in LIBRARY_NAMES
        or is_file_name(value)
    )


def find_library(name: str) -> tuple[Library, str]:
    """The library of a name, and the name there.

    Raises:
        ModelNameError: if there is no such library, or it has no such model;
            it says which are near.
        ModuleNotFoundError: if the library is not installed.
    """
    prefix, _, rest = name.partition('/')
    if prefix not in LIBRARIES or not rest:
        near = difflib.get_close_matches(prefix, LIBRARIES, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}/{rest}'?" if near and rest else ''
        raise ModelNameError(
            f'{name!r} names no model: give LIBRARY/NAME, of the libraries '
            f'{sorted(LIBRARIES)}, or the path of a checkpoint{hint}'
        )
    library = LIBRARIES[prefix]
    _require_installed(library)
    library.check(rest)
    return library, rest


def model_info(name: str) -> ModelInfo:
    """What a model by name wants of its images, without building it.

    Args:
        name: such as 'timm/vit_tiny_patch16_224', or a checkpoint's path.
    Raises:
        ModelNameError, ModuleNotFoundError: see `find_library`.
    """
    if is_file_name(name):
        return info_of_file(name)
    library, rest = find_library(name)
    return library.info(rest)


def list_models(pattern: str = '*') -> list[str]:
    """Names of models, with that of their library.

    Args:
        pattern: with wildcards, such as 'timm/vit_tiny*' or '*resnet18*'.
            Libraries that are not installed are left out.
    """
    names = []
    for library in LIBRARIES.values():
        prefix = pattern.partition('/')[0]
        if '/' in pattern and not fnmatch.fnmatch(library.name, prefix):
            continue
        if _is_installed(library):
            names += [f'{library.name}/{name}' for name in library.names()]
    return [n for n in names if fnmatch.fnmatch(n, pattern)]


def resolve_model(
    model: str | Mapping[str, Any], **defaults: Any
) -> dict[str, Any]:
    """The config of a model that is given by name; another one as it is.

    A network of a library becomes a `NetworkClassifier`; what MMPretrain and
    the CIFAR zoo have, their own config. A checkpoint of ours gives the
    config in it, and its weights. With it comes a ``data_preprocessor`` for
    images as MMPretrain's ``LoadImageFromFile`` gives them (BGR, 0 to 255).

    Args:
        model: a name; or ``dict(type=NAME, ...)`` with ``num_classes`` (0 for
            none; the library's when left out), ``pretrained``, and what the
            library's own builder takes.
        defaults: of options that are not given.
    Raises:
        ModelNameError, ModuleNotFoundError: see `find_library`; or for options
            that the model does not have.
    """
    cfg = dict(type=model) if isinstance(model, str) else dict(model)
    kind = cfg.get('type')
    if not isinstance(kind, str) or not (
        is_model_name(kind) or isinstance(model, str)
    ):
        return cfg
    cfg = copy.deepcopy({**defaults, **cfg})
    del cfg['type']
    if is_file_name(kind):
        return config_of_file(kind, **cfg)
    library, name = find_library(kind)
    info = library.info(name)
    images = dict(mean=list(info.mean), std=list(info.std), to_rgb=True)
    if isinstance(library, ConfigLibrary):
        made = library.config(
            name, cfg.pop('num_classes', None), cfg.pop('pretrained', False)
        )
        made.setdefault('data_preprocessor', images)
        return _merged(made, cfg)
    own = {key: cfg.pop(key) for key in OWN_OPTIONS if key in cfg}
    resolved = dict(type='NetworkClassifier', network=kind, **own)
    resolved.setdefault('data_preprocessor', images)
    if cfg:
        resolved['options'] = cfg
    return resolved


def get_model(name: str | Mapping[str, Any], **options: Any) -> nn.Module:
    """Build a model by name.

    Args:
        name: such as 'timm/resnet18', or ``dict(type=NAME, ...)``.
        options: as of `resolve_model`. With ``pretrained=True`` the published
            weights are loaded.
    Raises:
        ModelNameError, ModuleNotFoundError, WeightsError: see `resolve_model`
            and `Library.published`.
    """
    cfg = resolve_model(name, **options)
    # Where no run has set one, MMEngine would look for names of its own.
    with DefaultScope.overwrite_default_scope('mmdistill'):
        model = MODELS.build(cfg)
        if cfg.get('pretrained') or cfg.get('init_cfg'):
            with quiet_weights():
                model.init_weights()
    return model


def _build(name: str, **options: Any) -> nn.Module:
    return MODELS.build(resolve_model(dict(type=name, **options)))


def _maker(name: str) -> partial | None:
    """What builds ``dict(type=name, ...)``, if it is a model's name."""
    return partial(_build, name) if is_model_name(name) else None


MODELS.resolve_by(_maker)


def _merged(cfg: dict, options: Mapping[str, Any]) -> dict:
    """A config with options laid over it, dicts into dicts."""
    for key, value in options.items():
        if isinstance(value, Mapping) and isinstance(cfg.get(key), dict):
            _merged(cfg[key], value)
        else:
            cfg[key] = value
    return cfg


def _is_installed(library: Library) -> bool:
    package = library.package
    return package is None or importlib.util.find_spec(package) is not None


def _require_installed(library: Library) -> None:
    if not _is_installed(library):
        raise ModuleNotFoundError(
            f'{library.name}/… needs {library.package}, which is not '
            f"installed: pip install 'mmdistill[{library.name}]'"
        )
