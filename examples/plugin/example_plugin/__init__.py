"""Importing this registers the parts; the entry point imports it."""

from example_plugin.npz_format import NumPyFormat
from example_plugin.standardized_kd import StandardizedKDLoss
from example_plugin.time_limit_hook import TimeLimitHook

__all__ = ['NumPyFormat', 'StandardizedKDLoss', 'TimeLimitHook']
