from __future__ import annotations

from mmengine.hooks import Hook

from mmdistill.engine.utils import optimizers, unwrap
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class FreezeHook(Hook):
    """Keeps a module as it is while training begins.

    Its gradients are dropped just before the optimizer steps, so neither
    momentum nor weight decay moves it, and DDP need not know.

    SwAV (Caron et al., NeurIPS 2020, https://arxiv.org/abs/2006.09882)
    freezes its prototypes for the first 5005 iterations, DINO (Caron et al.,
    ICCV 2021, https://arxiv.org/abs/2104.14294) its last layer for the first
    epoch.

    Args:
        module: path of the module in the model, such as
            'student.prototypes'.
        iters: number of first iterations; or
        epochs: number of first epochs.
    Raises:
        ValueError: unless just one of the numbers is given, or if there is no
            such module.
    Config:
        default_hooks=dict(freeze_prototypes=dict(
            type='FreezeHook', module='student.prototypes', epochs=1))
    """

    def __init__(
        self, module: str, iters: int | None = None, epochs: int | None = None
    ) -> None:
        if (iters is None) == (epochs is None):
            raise ValueError(
                'FreezeHook takes one of iters and epochs, got '
                f'iters={iters} and epochs={epochs}'
            )
        self.module = module
        self.iters = iters
        self.epochs = epochs
        self._frozen = False

    def before_train(self, runner) -> None:
        model = unwrap(runner.model)
        try:
            module = model.get_submodule(self.module)
        except AttributeError as error:
            known = [name for name, _ in model.named_children()]
            raise ValueError(
                f'FreezeHook.module={self.module!r} is no module of '
                f'{type(model).__name__}, which has {known}'
            ) from error
        self._parameters = list(module.parameters())
        for optimizer in optimizers(runner.optim_wrapper):
            optimizer.register_step_pre_hook(self._before_step)

    def before_train_iter(self, runner, *args, **kwargs) -> None:
        if self.iters is not None:
            self._frozen = runner.iter < self.iters
        else:
            self._frozen = runner.epoch < self.epochs

    def _before_step(self, *_) -> None:
        if self._frozen:
            for parameter in self._parameters:
                parameter.grad = None
