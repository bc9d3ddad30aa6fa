from __future__ import annotations

from mmengine.hooks import Hook

from mmdistill.engine.utils import unwrap
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class AttributeScheduleHook(Hook):
    """Changes a number of the model linearly over the first epochs.

    Epoch 0 has ``start``, epoch ``epochs`` - 1 and all later ones ``end``: a
    function of the epoch, so it resumes by itself. DINO warms its teacher's
    temperature up this way.

    Args:
        attribute: path of the number in the model, such as
            'losses.dino.teacher_temperature'.
        start, end: first and last value.
        epochs: number of epochs on the way.
    Raises:
        ValueError: if there is no such number.
    Config:
        default_hooks=dict(warm_up=dict(
            type='AttributeScheduleHook', start=0.04, end=0.07, epochs=30,
            attribute='losses.dino.teacher_temperature'))
    """

    def __init__(
        self, attribute: str, start: float, end: float, epochs: int
    ) -> None:
        if epochs < 1:
            raise ValueError(
                f'AttributeScheduleHook needs epochs >= 1, got {epochs}'
            )
        self.attribute = attribute
        self.start = start
        self.end = end
        self.epochs = epochs

    def value_at(self, epoch: int) -> float:
        """The value in an epoch, counted from 0."""
        progress = min(epoch / max(self.epochs - 1, 1), 1.0)
        if self.epochs == 1:
            progress = 1.0
        return self.start + (self.end - self.start) * progress

    def before_train(self, runner) -> None:
        path, _, name = self.attribute.rpartition('.')
        try:
            self._owner = unwrap(runner.model).get_submodule(path)
            number = getattr(self._owner, name)
        except AttributeError:
            number = None
        if not isinstance(number, (int, float)):
            raise ValueError(
                f'AttributeScheduleHook.attribute={self.attribute!r} is no '
                f'number of {type(unwrap(runner.model)).__name__}'
            )
        self._name = name
        self._set(runner)

    def before_train_epoch(self, runner) -> None:
        self._set(runner)

    def _set(self, runner) -> None:
        setattr(self._owner, self._name, self.value_at(runner.epoch))
