"""Who learns from whom: one scheme per file."""

from mmdistill.models.distillers.offline import OfflineDistiller

__all__ = ['OfflineDistiller']
