"""Registration of every part and of plug-ins, and small common things."""

from mmdistill.utils.setup import register_all_modules

__all__ = ['register_all_modules']
