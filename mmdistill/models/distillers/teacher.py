"""A frozen teacher: built, loaded and checked; never trained."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from mmengine.logging import MMLogger, print_log
from torch import Tensor, nn

from mmdistill.checkpoints import (
    classes_of,
    load_checkpoint,
    load_strictly,
    loading_policy,
    state_dict_of,
)
from mmdistill.models.distillers.base import _build
from mmdistill.models.distillers.preprocessor import teacher_images
from mmdistill.models.pretrained import weights_of
from mmdistill.models.representation import classes_key


class FrozenTeacher:
    """The part of a distiller that holds a frozen teacher, or none.

    The teacher is not a submodule: optimizer, ``state_dict``, ``train``,
    ``init_weights`` and DDP never see it. It follows the student's device.
    Its file is read at once if it is there, else when training starts.

    Attributes:
        teacher: the model, or None.
        teacher_ckpt: its weights.
        teacher_classes: names of the classes in its file; None if the file
            does not tell, or was not read yet.
    """

    teacher_classes: tuple[str, ...] | None = None

    def _take_teacher(
        self, teacher: dict | nn.Module | None, ckpt: str | None
    ) -> None:
        if teacher is not None:
            teacher = freeze(_build(teacher))
        # Past nn.Module's registration of submodules, on purpose.
        self.__dict__['teacher'] = teacher
        self.teacher_ckpt = ckpt
        self._teacher_ready = teacher is None
        if not is_missing_file(ckpt):
            self.prepare_teacher()

    def prepare_teacher(self) -> None:
        """Load the teacher's file if that was not done yet."""
        if self._teacher_ready:
            return
        meta = load_teacher(self.teacher, self.teacher_ckpt)
        self.teacher_classes = classes_of(meta)
        freeze(self.teacher)
        self._teacher_ready = True

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        super()._apply(fn, *args, **kwargs)
        if self.teacher is not None:
            self.teacher._apply(fn)
        return self

    def init_weights(self) -> None:
        """Initialise what learns; from here on the teacher must be there."""
        self.prepare_teacher()
        if (
            self.teacher is not None
            and self.teacher_ckpt is None
            and getattr(self.teacher, 'init_cfg', None) is None
        ):
            print_log(
                'model.teacher_ckpt is not set and model.teacher has no '
                'init_cfg: the teacher is a random network',
                logger='current',
                level=logging.WARNING,
            )
        super().init_weights()

    @torch.no_grad()
    def predict_teacher(self, data: dict) -> list:
        """The teacher's predictions for a batch of the dataloader."""
        prepared = self.data_preprocessor(data, False)
        inputs = teacher_images(self.data_preprocessor, data, prepared)
        return self.teacher(inputs, prepared['data_samples'], mode='predict')

    def checkpoint_meta(self) -> dict[str, Any]:
        """The hash of the teacher's weights."""
        return dict(teacher_sha256=self.teacher_fingerprint())

    def check_meta(self, meta: dict) -> None:
        """Raise ValueError if a run had another teacher.

        Args:
            meta: of a checkpoint of that run.
        """
        before = meta.get('teacher_sha256')
        if before not in (None, self.teacher_fingerprint()):
            raise ValueError(
                'this run was started with another teacher (the SHA-256 of '
                f'its weights was {before[:12]}…); resume with the same '
                'model.teacher_ckpt, or start anew with load_from'
            )

    def teacher_fingerprint(self) -> str | None:
        """Hash of the teacher's weights, kept in checkpoints."""
        return None if self.teacher is None else fingerprint(self.teacher)


def freeze(model: nn.Module) -> nn.Module:
    """Eval mode (BatchNorm, Dropout and DropPath too), no gradients."""
    model.eval()
    return model.requires_grad_(False)


def is_missing_file(ckpt: str | None) -> bool:
    """Whether ``ckpt`` names a local file that is not there."""
    return (
        ckpt is not None
        and '://' not in ckpt
        and not os.path.isfile(os.path.expanduser(ckpt))
    )


def load_teacher(teacher: nn.Module, ckpt: str | None) -> dict | None:
    """Give the teacher its weights, all of them or none.

    Takes a checkpoint of the teacher itself, one of a distiller whose student
    has become the teacher, a ResNet's in torchvision's layout, or a bare
    backbone's where that is the whole network: MMPretrain's InceptionV3 has
    torchvision's names. Prototypes in the file are left out for an encoder
    that was built without any, and so is what a backbone is built without
    (InceptionV3's ``AuxLogits``). Without a file the teacher's ``init_cfg``
    decides.

    Returns:
        ``meta`` of the file, if it has any.
    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file is damaged, is no checkpoint, or holds
            another architecture or number of classes; it lists the keys.
    """
    if ckpt is None:
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)  # it lists every tensor
        with loading_policy():
            teacher.init_weights()
        logger.setLevel(level)
        return None
    if is_missing_file(ckpt):
        raise FileNotFoundError(
            f'the teacher checkpoint {ckpt!r} does not exist; train the '
            'teacher first or set model.teacher_ckpt to its checkpoint'
        )
    checkpoint = load_checkpoint(ckpt)
    state = state_dict_of(checkpoint, ckpt)
    state = weights_of(state, 'student')
    state = _of_a_classifier(state, teacher)
    if getattr(teacher, 'prototypes', teacher) is None:
        # An encoder that was built to do without those of the file.
        state = {k: v for k, v in state.items() if not _is_prototype(k)}
    load_strictly(
        teacher,
        state,
        f'the teacher checkpoint {ckpt!r}',
        _advice(teacher, state),
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


def _advice(teacher: nn.Module, state: dict[str, Tensor]) -> str:
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
            'model.teacher_ckpt to a file with prototypes.'
        )
    if hasattr(teacher, 'prototypes'):
        return (
            'Set model.teacher to the encoder of the file, or '
            'model.teacher_ckpt to a file of this teacher. Files as MoCo, '
            'SwAV and DINO publish them must be converted first, see '
            'tools/converters/self_supervised_to_mmdistill.py.'
        )
    return (
        'Set model.teacher to the architecture and the number of classes '
        f'({classes_key(teacher, "model.teacher")}) of the file, or '
        'model.teacher_ckpt to a file of this teacher.'
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
    room, _, rest = key.partition('.')
    return room == 'backbone' and (
        getattr(backbone, rest.split('.')[0], backbone) is None
    )
