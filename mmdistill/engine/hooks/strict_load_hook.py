from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmdistill.checkpoints import (
    CheckpointError,
    load_strictly,
    state_dict_of,
)
from mmdistill.models.distillers import BaseDistiller
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Refuse a checkpoint that leaves a tensor of the model as it was.

    MMEngine only logs such tensors and goes on to evaluate a model that is
    partly random. Of a distiller only the student counts, in a full checkpoint
    (keys ``student.…``) as in an exported student (without). Tensors that the
    model has no use for are no error; those that it adapts while loading, such
    as position embeddings, fit. Where the teacher is tested
    (``test_cfg.part``), a learning one has to be in the file, too, and a
    frozen one has to be the one of the training. ``tools/test.py`` registers
    this hook.

    Config:
        default_hooks=dict(strict_load=dict(type='StrictLoadHook'))
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load once more, by torch's rules, before MMEngine does.

        Raises:
            CheckpointError: if tensors are missing or have another shape, or
                the part that is tested is not in the file, or not the run's.
        """
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        state = state_dict_of(checkpoint, runner._load_from)
        checkpoint['state_dict'] = state
        of_student = {
            key.removeprefix('student.'): value
            for key, value in state.items()
            if key.startswith('student.')
        }
        is_distiller = isinstance(model, BaseDistiller)
        whole = model
        if is_distiller:
            model, state = model.student, of_student or state

        advice = (
            'Give the config that the checkpoint was trained with, or the '
            'checkpoint of this config.'
        )
        if of_student and not is_distiller:
            advice = (
                'It is a full checkpoint of a distiller: give the config of '
                "its training, or the student's export."
            )
        name = f'the checkpoint {runner._load_from!r}'
        load_strictly(model, state, name, advice)
        loop = runner._test_loop
        part = 'student'
        if isinstance(loop, BaseLoop):  # while training it is a mere config
            part = getattr(loop, 'part', part)
        if is_distiller and part != 'student':
            _check_part(whole, part, checkpoint, name, advice)


def _check_part(
    model: nn.Module, part: str, checkpoint: dict, name: str, advice: str
) -> None:
    """Raise unless the part that is tested is the one of the run."""
    if part in model._modules:
        prefix = f'{part}.'
        state = {
            key.removeprefix(prefix): value
            for key, value in checkpoint['state_dict'].items()
            if key.startswith(prefix)
        }
        if not state:
            raise CheckpointError(
                f'{name} holds no {part}, which test_cfg.part={part!r} '
                'measures; give a full checkpoint of the training '
                "(epoch_*.pth), or set test_cfg.part='student'"
            )
        load_strictly(model.get_submodule(part), state, name, advice)
        return
    target = model.targets[part]
    target.prepare()
    trained_with = checkpoint.get('meta', {}).get(f'{part}_sha256')
    if trained_with not in (None, target.fingerprint()):
        raise CheckpointError(
            f'{name} was trained with another {part} (the SHA-256 of its '
            f'weights was {trained_with[:12]}…) than {target.setting_ckpt}='
            f'{target.ckpt!r}, which test_cfg.part={part!r} measures; '
            f'set {target.setting_ckpt} to the file of the training'
        )
