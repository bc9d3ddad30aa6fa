"""Networks that start from the file of another run."""

from __future__ import annotations

import logging
import os
from pathlib import PurePosixPath
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from torch import Tensor, nn

from mmdistill.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_partly,
    load_strictly,
    state_dict_of,
)
from mmdistill.models.foreign_files import in_own_names
from mmdistill.models.matching import MatchingError
from mmdistill.models.zoo import NetworkBackbone, NetworkClassifier
from mmdistill.registry import WEIGHT_INITIALIZERS
from mmdistill.utils.text import shown

# What torchvision and timm call the classifier beside a bare backbone.
_CLASSIFIERS = ('fc', 'classifier', 'head')
_SHOWN = 8  # names that a log line lists


def read_weights(checkpoint: str, setting: str) -> dict[str, Tensor]:
    """The weights in a file.

    Args:
        checkpoint: a path, or an address that MMEngine reads.
        setting: its config key, for errors.
    Raises:
        FileNotFoundError, CheckpointError: if there is no such file, or it
            holds no weights.
    """
    path = os.path.expanduser(checkpoint)
    if '://' not in path and not os.path.isfile(path):
        raise FileNotFoundError(
            f'the checkpoint {path!r} does not exist; set {setting} to the '
            'file of a trained network'
        )
    try:
        return state_dict_of(load_checkpoint(path), path)
    except URLError as error:
        file = PurePosixPath(urlparse(path).path).name
        raise FileNotFoundError(
            f'{path} could not be fetched ({error.reason}). Set {setting} to '
            f'a file on this machine, or put {file} into '
            f'{torch.hub.get_dir()}/checkpoints'
        ) from error


def weights_of(
    state: dict[str, Tensor], part: str, setting: str = 'part'
) -> dict[str, Tensor]:
    """Those of one network in a full checkpoint, or all of another file.

    Args:
        state: the weights in a file.
        part: 'student', 'teacher', or another network of a distiller.
        setting: its config key, for errors.
    Raises:
        CheckpointError: if it is not the student that is asked for and the
            file does not have it: an export, or a full checkpoint of a run
            whose teacher was frozen.
    """
    found = _below(state, f'{part}.')
    if not found and part != 'student':
        first = sorted({key.split('.')[0] for key in state})
        raise CheckpointError(
            f'{setting}={part!r} takes the {part} of a full checkpoint, whose '
            f'keys begin with "{part}."; those of this file begin with '
            f'{first[:_SHOWN]}. Give a full checkpoint (epoch_*.pth) of a run '
            f"whose {part} learns, or set {setting}='student', which also "
            'takes the file of one network'
        )
    return found or state


def what_to_change(
    state: dict[str, Tensor], taken: str, network: str, setting: str
) -> str:
    """Advice for weights that do not fit.

    Args:
        state: the weights in the file.
        taken: which of them were taken.
        network: config key of what they were loaded into.
        setting: config key of the file.
    """
    first = sorted({key.split('.')[0] for key in state})
    return (
        f'Its keys begin with {first[:_SHOWN]}; those of {taken} are taken. '
        f'Set {network} to the network of the file, or {setting} to a file '
        'of this network.'
    )


@WEIGHT_INITIALIZERS.register_module()
class Pretrained(PretrainedInit):
    """Takes every tensor of a backbone from the file of another run.

    It replaces MMEngine's initialization of this name, which only logs what
    does not fit and leaves it random. The file is a full checkpoint of a
    distillation (keys ``student.backbone.…``), an exported student, a
    classifier or a self-supervised encoder (``backbone.…``), or a bare
    backbone, whose classifier, if there is one, is left out. It is read
    whenever training starts, also when it is resumed; tests do without. A
    whole model takes a file of the whole model. As of MMEngine's, it comes
    after every other initialization, if its type is written without a scope.

    Args:
        checkpoint: a path, or an address that MMEngine reads.
        prefix: take exactly the keys that begin with it, such as
            'backbone'; when None, they are found as above.
        map_location: of no consequence: weights go to the module's device.
        part: whose backbone a full checkpoint gives: 'student', or 'teacher'
            where that learned too (OSS, the momentum copy of DINO).
        partial: load the tensors that fit and log which were left, instead of
            refusing the file. One at least must fit.
    Raises:
        FileNotFoundError, CheckpointError: when training starts, if there is
            no such file, or its tensors do not fit; it lists their keys.
    Config:
        backbone=dict(
            type='ResNet', depth=18, out_indices=(0, 1, 2, 3),
            init_cfg=dict(
                type='Pretrained',
                checkpoint='work_dirs/seed_resnet50_resnet18/student.pth'))
    """

    def __init__(
        self,
        checkpoint: str,
        prefix: str | None = None,
        map_location: str = 'cpu',
        part: str = 'student',
        partial: bool = False,
    ) -> None:
        super().__init__(checkpoint, prefix, map_location)
        self.part = part
        self.partial = partial

    def __call__(self, module: nn.Module) -> None:
        """Load into a backbone; or into a model, whose tensors are named so.

        Args:
            module: what has this ``init_cfg``.
        """
        weights = read_weights(self.checkpoint, 'init_cfg.checkpoint')
        taken = f'"{self.part}.backbone" or "backbone"'
        if self.prefix is not None:
            taken = f'"{self.prefix}"'
        advice = what_to_change(
            weights, taken, 'the backbone', 'its init_cfg.checkpoint'
        )
        state = self._chosen(weights, module)
        name = f'the checkpoint {self.checkpoint!r}'
        if self.partial:
            stay, left = load_partly(module, state, name, advice)
        else:
            advice += ' With init_cfg.partial=True what fits is loaded.'
            load_strictly(module, state, name, advice, whole=True)
            stay, left = [], []
        self._report(module, stay, left)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())
        # MMPretrain's backbones initialize anew (residual norms, position
        # embeddings) unless their init_cfg is this one alone, not a list.
        if isinstance(getattr(module, 'init_cfg', None), list):
            module.init_cfg = dict(
                type='Pretrained', checkpoint=self.checkpoint
            )

    def _chosen(
        self, weights: dict[str, Tensor], module: nn.Module
    ) -> dict[str, Tensor]:
        """Those for a module, under its own names."""
        if self.prefix is not None:
            return _below(weights, self.prefix.rstrip('.') + '.')
        state = weights_of(weights, self.part, 'init_cfg.part')
        if isinstance(module, (NetworkBackbone, NetworkClassifier)):
            state = module.from_library(state)
        own = {name.split('.')[0] for name in module.state_dict()}
        if not (own | {'backbone'}) & {key.split('.')[0] for key in state}:
            try:
                found = in_own_names(module, state, self.checkpoint)
            except MatchingError as error:
                raise CheckpointError(
                    f'init_cfg.checkpoint={self.checkpoint!r} does not fit: '
                    f'{error}. Set it to a file of this network'
                ) from error
            return found or state
        if 'backbone' in own:
            return state
        backbone = _below(state, 'backbone.')
        if backbone:
            return backbone
        others = tuple(f'{name}.' for name in _CLASSIFIERS if name not in own)
        return {k: v for k, v in state.items() if not k.startswith(others)}

    def _report(
        self, module: nn.Module, stay: list[str], left: list[str]
    ) -> None:
        total = len(module.state_dict())
        what = type(module).__name__
        if not hasattr(module, 'backbone'):
            what = f'the backbone ({what})'
        print_log(
            f'loaded {total - len(stay)} of {total} tensors of {what} from '
            f'{self.checkpoint}',
            logger='current',
        )
        for names, fate in (
            (stay, 'stay as they were initialized'),
            (left, 'of the file were left'),
        ):
            if names:
                print_log(
                    f'{len(names)} tensors {fate}: {shown(names, _SHOWN)}',
                    logger='current',
                    level=logging.WARNING,
                )


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries whose names begin with ``prefix``, without it."""
    return {
        key.removeprefix(prefix): value
        for key, value in state.items()
        if key.startswith(prefix)
    }
