"""Distillation losses: one paper per file, tensors in, scalar out."""

from mmdistill.models.losses.at import ATLoss
from mmdistill.models.losses.base import DistillLoss
from mmdistill.models.losses.crd import CRDLoss
from mmdistill.models.losses.infonce import InfoNCELoss
from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.protocpc import ProtoCPCLoss
from mmdistill.models.losses.rkd import RKDLoss

__all__ = [
    'ATLoss',
    'CRDLoss',
    'DistillLoss',
    'InfoNCELoss',
    'KDLoss',
    'ProtoCPCLoss',
    'RKDLoss',
]
