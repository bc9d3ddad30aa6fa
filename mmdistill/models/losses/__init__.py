"""Distillation losses: one paper per file, tensors in, scalar out."""

from mmdistill.models.losses.ab import ABLoss
from mmdistill.models.losses.at import ATLoss
from mmdistill.models.losses.cc import CCLoss
from mmdistill.models.losses.cl_ilr import CLILRLoss
from mmdistill.models.losses.compress import CompRessLoss
from mmdistill.models.losses.crd import CRDLoss
from mmdistill.models.losses.dino import DINOLoss
from mmdistill.models.losses.distill_loss import DistillLoss, Phase, Shapes
from mmdistill.models.losses.dml import DMLLoss
from mmdistill.models.losses.ensemble_kd import EnsembleKDLoss
from mmdistill.models.losses.feature_confusion import FeatureConfusionLoss
from mmdistill.models.losses.fsp import FSPLoss
from mmdistill.models.losses.ft import FTLoss
from mmdistill.models.losses.hint import HintLoss
from mmdistill.models.losses.infonce import InfoNCELoss
from mmdistill.models.losses.kd import KDLoss
from mmdistill.models.losses.mcl import MCLLoss
from mmdistill.models.losses.nst import NSTLoss
from mmdistill.models.losses.okddip import OKDDipLoss
from mmdistill.models.losses.one import ONELoss
from mmdistill.models.losses.peers import PeerLoss, PeerShapes
from mmdistill.models.losses.pkt import PKTLoss
from mmdistill.models.losses.prediction import PredictionLoss
from mmdistill.models.losses.protocpc import ProtoCPCLoss
from mmdistill.models.losses.prototypical import PrototypicalLoss
from mmdistill.models.losses.regression import FeatureRegressionLoss
from mmdistill.models.losses.rkd import RKDLoss
from mmdistill.models.losses.seed import SEEDLoss
from mmdistill.models.losses.sp import SPLoss
from mmdistill.models.losses.swapped_prediction import SwappedPredictionLoss
from mmdistill.models.losses.vid import VIDLoss
from mmdistill.models.losses.wcord import GCKTLoss, LCKTLoss

__all__ = [
    'ABLoss',
    'ATLoss',
    'CCLoss',
    'CLILRLoss',
    'CRDLoss',
    'CompRessLoss',
    'DINOLoss',
    'DMLLoss',
    'DistillLoss',
    'EnsembleKDLoss',
    'FSPLoss',
    'FTLoss',
    'FeatureConfusionLoss',
    'GCKTLoss',
    'HintLoss',
    'InfoNCELoss',
    'KDLoss',
    'LCKTLoss',
    'MCLLoss',
    'NSTLoss',
    'OKDDipLoss',
    'ONELoss',
    'PKTLoss',
    'PeerLoss',
    'PeerShapes',
    'Phase',
    'PredictionLoss',
    'ProtoCPCLoss',
    'PrototypicalLoss',
    'RKDLoss',
    'FeatureRegressionLoss',
    'SEEDLoss',
    'SPLoss',
    'Shapes',
    'SwappedPredictionLoss',
    'VIDLoss',
]
