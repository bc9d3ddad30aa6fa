"""From the config of a loss to its class, whoever registered it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import nn

from mmdistill.models.losses.distill_loss import DistillLoss, as_distill_loss
from mmdistill.models.losses.peers import PeerLoss
from mmdistill.registry import MODELS


def loss_class(
    name: str, cfg: Mapping[str, Any] | nn.Module
) -> type[DistillLoss]:
    """The class of a loss.

    Raises:
        KeyError: for a type that is not registered, with similar names.
        ValueError: for a config without a type, or a name that no module can
            have.
    """
    who = f'losses.{name}'
    if '.' in name or hasattr(nn.ModuleDict(), name):
        raise ValueError(
            f'a loss may not be named {name!r}: modules have an attribute of '
            'this name, or dots between names; rename it in model.losses'
        )
    if isinstance(cfg, nn.Module):
        return _with_contract(type(cfg))
    kind = cfg.get('type') if isinstance(cfg, Mapping) else None
    if kind is None:
        raise ValueError(f"{who} must be a dict with a 'type', got {cfg!r}")
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        names = _loss_names()
        near = difflib.get_close_matches(kind, names, n=3, cutoff=0.5)
        hint = f'did you mean {", ".join(near)}?'
        if not near:
            hint = f'known are {", ".join(names)}.'
        raise KeyError(
            f'{who}.type={kind!r} is not registered; {hint} A loss of your '
            'own must be registered in MODELS and its module listed in '
            'custom_imports'
        )
    return _with_contract(cls)


def _with_contract(cls: type[nn.Module]) -> type[DistillLoss]:
    loss = as_distill_loss(cls)
    if loss.compares == 'peers':
        loss = as_distill_loss(cls, PeerLoss)
    return loss


def _loss_names() -> list[str]:
    """Registered names that distillers can use: parts that have a level."""
    return sorted(
        name
        for name, part in MODELS.module_dict.items()
        if hasattr(part, 'level')
    )
