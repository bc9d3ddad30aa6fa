from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from mmdistill.engine.checkpoint import load_strictly, state_dict_of
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Refuse a checkpoint that leaves a tensor of the model as it was.

    MMEngine only logs such tensors and goes on to evaluate a model that is
    partly random. Of a distiller only the student counts, in a full checkpoint
    (keys ``student.…``) as in an exported student (without). Tensors that the
    model has no use for are no error; those that it adapts while loading, such
    as position embeddings, fit. ``tools/test.py`` registers this hook.

    Config:
        custom_hooks=[dict(type='StrictLoadHook')]
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load once more, by torch's rules, before MMEngine does.

        Raises:
            CheckpointError: if tensors are missing or have another shape.
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
        is_distiller = isinstance(getattr(model, 'student', None), nn.Module)
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
