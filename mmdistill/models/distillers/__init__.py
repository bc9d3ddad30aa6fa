"""Who learns from whom: one scheme per file."""

from mmdistill.models.distillers.base_distiller import BaseDistiller
from mmdistill.models.distillers.cocord import CoCoRD
from mmdistill.models.distillers.comparing import ComparingDistiller
from mmdistill.models.distillers.offline import OfflineDistiller
from mmdistill.models.distillers.online import OnlineDistiller
from mmdistill.models.distillers.oss import OSS
from mmdistill.models.distillers.self_distiller import SelfDistiller
from mmdistill.models.distillers.target import Role, Target

__all__ = [
    'BaseDistiller',
    'OSS',
    'CoCoRD',
    'ComparingDistiller',
    'OfflineDistiller',
    'OnlineDistiller',
    'Role',
    'SelfDistiller',
    'Target',
]
