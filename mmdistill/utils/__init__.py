"""Setting up: registration of every part and of plug-ins."""

from mmdistill.utils.setup import register_all_modules

__all__ = ['register_all_modules']
