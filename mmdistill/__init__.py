"""mmdistill: representation distillation on MMEngine and MMPretrain."""

import warnings as _warnings

# mmcv without compiled ops says so when it is imported, by whomever; nothing
# here needs them.
_warnings.filterwarnings('ignore', message='Fail to import ``MultiScale')

from typing import Any as _Any

from mmdistill import registry
from mmdistill.version import __version__

_OF_API = ('distill', 'get_model', 'list_models', 'load')

__all__ = ['__version__', 'registry', *_OF_API]


def __getattr__(name: str) -> _Any:
    """The functions of `mmdistill.api`, imported when they are asked for."""
    if name not in _OF_API:
        raise AttributeError(f"module 'mmdistill' has no attribute {name!r}")
    from mmdistill import api

    return getattr(api, name)
