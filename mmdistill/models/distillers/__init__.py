"""Who learns from whom: one scheme per file."""

from mmdistill.models.distillers.cocord import CoCoRD
from mmdistill.models.distillers.offline import OfflineDistiller

__all__ = ['CoCoRD', 'OfflineDistiller']
