"""mmdistill: representation distillation on MMEngine and MMPretrain."""

import importlib as _importlib
import warnings as _warnings

from mmdistill.version import __version__

# mmcv without compiled ops says so when it is imported, by whomever; nothing
# here needs them.
_warnings.filterwarnings('ignore', message='Fail to import ``MultiScale')

#: Where what is offered here stands. It is imported when it is asked for, so
#: that this import, and the help of the command, take no time.
_OFFERED = dict(
    distill='mmdistill.api',
    load='mmdistill.predicting',
    list_models='mmdistill.models.zoo',
    get_model='mmdistill.models.zoo',
)

__all__ = ['__version__', 'registry', *_OFFERED]


def __getattr__(name):
    if name == 'registry':
        return _importlib.import_module('mmdistill.registry')
    if name in _OFFERED:
        return getattr(_importlib.import_module(_OFFERED[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
