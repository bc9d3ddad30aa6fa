"""mmdistill: representation distillation on MMEngine and MMPretrain."""

import warnings as _warnings

# mmcv without compiled ops says so at import; nothing here needs them.
_warnings.filterwarnings('ignore', message='Fail to import ``MultiScale')

from mmdistill import registry  # noqa: F401
from mmdistill.engine.checkpoint import install_loading_policy
from mmdistill.engine.runner import extend_runners
from mmdistill.version import __version__

install_loading_policy()
extend_runners()

__all__ = ['__version__']
