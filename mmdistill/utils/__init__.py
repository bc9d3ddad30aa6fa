"""Registration of all modules and plug-ins, and small helpers."""

from mmdistill.utils.setup import register_all_modules

__all__ = ['register_all_modules']
