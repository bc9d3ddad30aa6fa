"""Who learns from whom: one scheme per file."""

from mmdistill.models.distillers.base import BaseDistiller
from mmdistill.models.distillers.cocord import CoCoRD
from mmdistill.models.distillers.offline import OfflineDistiller
from mmdistill.models.distillers.online import OnlineDistiller
from mmdistill.models.distillers.oss import OSS
from mmdistill.models.distillers.self_distiller import SelfDistiller

__all__ = [
    'BaseDistiller',
    'OSS',
    'CoCoRD',
    'OfflineDistiller',
    'OnlineDistiller',
    'SelfDistiller',
]
