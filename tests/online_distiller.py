"""An online distiller of digits, and its peers."""

import copy

import pytest
import torch
from helpers import distiller

from mmdistill.models import OnlineDistiller
from mmdistill.registry import MODELS

MCL = dict(type='MCLLoss', num_negatives=5, embed_dim=6)

EVERY = dict(
    ensemble=dict(type='EnsembleKDLoss'),
    dml=dict(type='DMLLoss'),
    cl_ilr=dict(type='CLILRLoss'),
    one=dict(type='ONELoss'),
    okddip=dict(type='OKDDipLoss'),
    mcl=MCL,
)

BRANCH = dict(mode='branch', cut=1)

BOTH = pytest.mark.parametrize('kind', [{}, BRANCH], ids=['network', 'branch'])


def config(**kwargs):
    return distiller(
        'OnlineDistiller', **dict(num_peers=3, losses=EVERY) | kwargs
    )


def build(**kwargs) -> OnlineDistiller:
    model = MODELS.build(config(**kwargs))
    model.set_training_set(40, torch.arange(40) % 10)
    return model


def images(size=8):
    return torch.randn(size, 1, 8, 8)


def networks(model) -> list:
    """All peers as complete networks of their own, the leader last."""
    complete = []
    for peer in model.peers:
        network = copy.deepcopy(model.student)
        network.load_state_dict(peer.state_dict(), strict=False)
        complete.append(network)
    return [*complete, model.student]


GAP = dict(type='GlobalAveragePooling')
