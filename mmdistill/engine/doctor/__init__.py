"""Mistakes of a config, found before a dataset or a model is built."""

from mmdistill.engine.doctor.diagnosis import diagnose, require_sound
from mmdistill.engine.doctor.finding import ConfigError, Finding

__all__ = ['ConfigError', 'Finding', 'diagnose', 'require_sound']
