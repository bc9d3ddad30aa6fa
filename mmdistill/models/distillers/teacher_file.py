"""The file of a frozen teacher: what is taken from it, and its fingerprint."""

from __future__ import annotations

import hashlib
import os

import torch
from torch import Tensor, nn

from mmdistill.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_strictly,
    state_dict_of,
)
from mmdistill.models.foreign_files import in_own_names
from mmdistill.models.matching import MatchingError
from mmdistill.models.parts import (
    is_encoder,
    prototypes_of,
    quiet_weights,
)
from mmdistill.models.pretrained import weights_of
from mmdistill.models.representation import classes_key
from mmdistill.models.zoo import NetworkClassifier


def is_missing_file(ckpt: str | None) -> bool:
    """Whether ``ckpt`` names a local file that is not there."""
    return (
        ckpt is not None
        and '://' not in ckpt
        and not os.path.isfile(os.path.expanduser(ckpt))
    )


def load_teacher(
    teacher: nn.Module,
    ckpt: str | None,
    setting: str = 'model.teacher',
    setting_ckpt: str = 'model.teacher_ckpt',
) -> dict | None:
    """Give a frozen target its weights, all of them or none.

    Takes a checkpoint of the teacher itself, one of a distiller whose student
    has become the teacher, one in the layout of the library that a network
    by name comes from, torchvision's or timm's of the same architecture, or
    a bare backbone's where that is the whole network: MMPretrain's
    InceptionV3 has torchvision's names. Prototypes in the file are left out
    for an encoder that was built without any, and so is what a backbone is
    built without (InceptionV3's ``AuxLogits``). Without a file the teacher's
    ``init_cfg`` decides.

    Args:
        teacher: the network.
        ckpt: its file, or None.
        setting, setting_ckpt: config keys of both, for errors.
    Returns:
        ``meta`` of the file, if it has any.
    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged, is no checkpoint, or holds
            another architecture or number of classes; it lists the keys.
    """
    if ckpt is None:
        with quiet_weights():
            teacher.init_weights()
        return None
    if is_missing_file(ckpt):
        raise FileNotFoundError(
            f'the teacher checkpoint {ckpt!r} does not exist; train the '
            f'teacher first or set {setting_ckpt} to its checkpoint'
        )
    checkpoint = load_checkpoint(ckpt)
    state = state_dict_of(checkpoint, ckpt)
    state = weights_of(state, 'student')
    if isinstance(teacher, NetworkClassifier):
        state = teacher.from_library(state)
    else:
        given = state
        state = _of_a_classifier(given, teacher)
        if teacher.state_dict().keys().isdisjoint(state):
            try:
                state = in_own_names(teacher, given, ckpt) or state
            except MatchingError as error:
                raise CheckpointError(
                    f'the teacher checkpoint {ckpt!r} does not fit: {error}. '
                    + _advice(teacher, state, setting, setting_ckpt)
                ) from error
    if is_encoder(teacher) and prototypes_of(teacher) is None:
        # An encoder that was built to do without those of the file.
        state = {k: v for k, v in state.items() if not _is_prototype(k)}
    load_strictly(
        teacher,
        state,
        f'the teacher checkpoint {ckpt!r}',
        _advice(teacher, state, setting, setting_ckpt),
        whole=True,
    )
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return meta if isinstance(meta, dict) else None


def fingerprint(teacher: nn.Module) -> str:
    """SHA-256 of all weights and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(teacher.state_dict().items()):
        digest.update(name.encode())
        # As bytes: numpy has no bfloat16.
        value = value.detach().cpu().contiguous().view(-1)
        digest.update(value.view(torch.uint8).numpy())
    return digest.hexdigest()


def _is_prototype(key: str) -> bool:
    return key.startswith('prototypes.')


def _advice(
    teacher: nn.Module,
    state: dict[str, Tensor],
    setting: str,
    setting_ckpt: str,
) -> str:
    """What to change if weights do not fit the teacher."""
    missing = [
        key
        for key in teacher.state_dict().keys() - state.keys()
        if not key.endswith('num_batches_tracked')
    ]
    if missing and all(map(_is_prototype, missing)):
        return (
            'The checkpoint has no prototypes: set '
            "model.teacher_prototypes='new' to use the student's, or "
            f'{setting_ckpt} to a file with prototypes.'
        )
    if is_encoder(teacher):
        return (
            f'Set {setting} to the encoder of the file, or {setting_ckpt} '
            'to a file of this teacher. Files as MoCo, '
            'SwAV and DINO publish them must be converted first, see '
            'tools/model_converters/self_supervised_to_mmdistill.py.'
        )
    return (
        f'Set {setting} to the architecture and the number of classes '
        f'({classes_key(teacher, setting)}) of the file, or {setting_ckpt} '
        'to a file of this teacher.'
    )


def _of_a_classifier(
    state: dict[str, Tensor], teacher: nn.Module
) -> dict[str, Tensor]:
    """Name the weights of a bare network as MMPretrain's classifier does."""
    if 'fc.weight' in state and 'layer1.0.conv1.weight' in state:
        return {  # torchvision's ResNet
            f'head.{k}' if k.startswith('fc.') else f'backbone.{k}': value
            for k, value in state.items()
        }
    backbone = getattr(teacher, 'backbone', None)
    if backbone is None:
        return state
    if backbone.state_dict().keys() & state.keys():
        state = {f'backbone.{key}': value for key, value in state.items()}
    return {
        key: value
        for key, value in state.items()
        if not _is_left_out(backbone, key)
    }


def _is_left_out(backbone: nn.Module, key: str) -> bool:
    """Whether a weight is of a part that a backbone was built without."""
    prefix, _, rest = key.partition('.')
    return prefix == 'backbone' and (
        getattr(backbone, rest.split('.')[0], backbone) is None
    )
