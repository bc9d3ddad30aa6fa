from __future__ import annotations

from collections import OrderedDict

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

#: Log name of the sum of all losses, which no loss may take.
TOTAL = 'loss'


class LoggingModel(BaseModel):
    """A model whose losses are summed and logged by name.

    Args:
        data_preprocessor, init_cfg: as of MMEngine's ``BaseModel``.
    """

    def __init__(
        self, data_preprocessor: nn.Module, init_cfg: dict | None = None
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self._diagnostics: dict[str, Tensor] = {}

    def loss_names(self) -> set[str]:
        """Names of what `loss` returns to be trained on."""
        raise NotImplementedError

    def parse_losses(
        self, losses: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum all losses and log each under its own name.

        What counts is named in ``losses`` or ``own_losses``, or has 'loss' in
        its name, as in MMEngine. Anything else is logged and never trained
        on, as is what was given to `log`.

        Raises:
            ValueError: if something else has a gradient: it may be meant to
                be trained on, or not.
        """
        counted = self.loss_names()
        total = 0
        for name, value in losses.items():
            if name in counted or 'loss' in name:
                total = total + value
            elif value.requires_grad:
                raise ValueError(
                    f'{type(self).__name__}.loss returned {name!r}, which has '
                    'a gradient and is none of its losses: add it to '
                    "own_losses of the class, or give it a name with 'loss', "
                    'to train on it; else log it with self.log(name, value)'
                )
        return total, OrderedDict(
            {TOTAL: total, **losses, **self._diagnostics}
        )

    def log(self, name: str, value: Tensor | float) -> None:
        """Have a number logged with this step's losses, and not trained on.

        Args:
            name: in the log and in TensorBoard.
            value: one number, of any device.
        Raises:
            ValueError: if it is more than one number.
        """
        value = torch.as_tensor(value).detach()
        if value.numel() != 1:
            raise ValueError(
                f'the diagnostic {name!r} is one number, got shape '
                f'{tuple(value.shape)}; take its mean'
            )
        self._diagnostics[name] = value.reshape(()).float()

    def counted(self, name: str, value: Tensor | dict) -> Tensor:
        """What counts of the answer of a loss; the rest is logged.

        Args:
            name: of the loss, before what it logs: ``name/diagnostic``.
            value: the weighted loss, or a dict with it as ``loss`` and with
                diagnostics under other names.
        """
        if isinstance(value, Tensor):
            return value
        if not isinstance(value, dict) or 'loss' not in value:
            raise ValueError(
                f'losses.{name} returns a scalar tensor, or a dict with it as '
                f"'loss' and diagnostics besides; got {type(value).__name__}"
                + (f' with {sorted(value)}' if isinstance(value, dict) else '')
            )
        for key, diagnostic in value.items():
            if key != 'loss':
                self.log(f'{name}/{key}', diagnostic)
        return value['loss']
