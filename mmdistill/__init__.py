"""mmdistill: representation distillation on MMEngine and MMPretrain."""

import warnings as _warnings

# mmcv without compiled ops says so when it is imported, by whomever; nothing
# here needs them.
_warnings.filterwarnings('ignore', message='Fail to import ``MultiScale')

from mmdistill import registry
from mmdistill.version import __version__

__all__ = ['__version__', 'registry']
