from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmdistill.models.probing import probing
from mmdistill.models.representation import RepresentationReader


class SharedStages:
    """The first stages of a network, run once for it and for its branches.

    A branch is another network of the same config. Stand-ins take the places
    of the modules that are through when the map at the cut is there: they pass
    on whatever they get, and the last of them hands over the map that the
    first network has made. So a branch runs its own code, of whatever
    architecture, and its state dict holds what is its own.

    What runs first is seen in one pass of the network, and a branch with equal
    weights must then give an equal feature.

    Args:
        reader: of the network whose first stages are shared.
        cut: number of the last map that is shared.
        input_size: (C, H, W) of an image.
    Raises:
        ValueError: if the network cannot be cut there.
    """

    def __init__(
        self, reader: RepresentationReader, cut: int, input_size: Sequence[int]
    ) -> None:
        self.cut = cut
        self._made = _Made()
        model = reader.model
        image = torch.rand(
            1, *input_size, generator=torch.Generator().manual_seed(0)
        ).to(next(model.parameters()).device)
        with probing(model):
            self._trace(reader, image)
            self._try(reader, image)

    def _trace(self, reader: RepresentationReader, image: Tensor) -> None:
        """Find the module that makes the map, and those before it."""
        backbone = reader.model.backbone
        calls: list[tuple[str, Any]] = []
        with ExitStack() as hooks:
            for name, module in backbone.named_modules():
                handle = module.register_forward_hook(
                    lambda m, args, out, name=name: calls.append((name, out))
                )
                hooks.callback(handle.remove)
            reader.numbers = (self.cut,)
            try:
                (made,) = reader(image).maps
            finally:
                reader.numbers = ()
        found = [
            i for i, (name, out) in enumerate(calls) if name and out is made
        ]
        if not found:
            raise ValueError(
                f'{self._who(backbone)}: no module of it gives that map as it '
                "is; choose another model.cut, or model.mode='network'"
            )
        # The outermost of those that give it ends last.
        self._last, _ = calls[found[-1]]
        later = {name for name, _ in calls[found[-1] :]}
        self._before = {name for name, _ in calls} - later

    def _try(self, reader: RepresentationReader, image: Tensor) -> None:
        backbone = reader.model.backbone
        branch = copy.deepcopy(reader.model)
        self.replace(branch.backbone)
        reason = 'a branch of equal weights gives another feature'
        try:
            with self.run(backbone):
                expected = reader(image).feature
                found = RepresentationReader(branch)(self.stub(image)).feature
            bound = 1e-4 * expected.abs().max()
            same = bool((found - expected).abs().max() <= bound)
        except (AttributeError, IndexError, RuntimeError, TypeError) as error:
            same, reason = False, str(error)
        if not same:
            raise ValueError(
                f'{self._who(backbone)}: what follows needs more of what '
                f'precedes than that map ({reason}); choose another '
                "model.cut, or model.mode='network'"
            )

    def _who(self, backbone: nn.Module) -> str:
        return (
            f'model.cut={self.cut} cannot cut model.student.backbone '
            f'({type(backbone).__name__})'
        )

    def replace(self, backbone: nn.Module) -> None:
        """Make a backbone of the same config the branch's: drop the rest."""
        self._replace(backbone, '')

    def _replace(self, module: nn.Module, path: str) -> None:
        for name, child in list(module.named_children()):
            inner = f'{path}{name}'
            if inner == self._last:
                module.add_module(name, HandOver(child, self._made))
            elif inner in self._before and not isinstance(
                child, nn.Sequential
            ):
                module.add_module(name, PassOn(child))
            else:
                self._replace(child, f'{inner}.')

    @contextmanager
    def run(self, backbone: nn.Module) -> Iterator[_Made]:
        """Keep the map that ``backbone`` makes, for the branches to take."""
        handle = backbone.get_submodule(self._last).register_forward_hook(
            lambda module, args, output: setattr(self._made, 'map', output)
        )
        try:
            yield self._made
        finally:
            handle.remove()
            self._made.map = None

    @staticmethod
    def stub(images: Tensor) -> Tensor:
        """What branches are given as images: one, which nobody looks at."""
        return torch.zeros_like(images[:1])


class _Made:
    """The shared map of the present batch."""

    map: Tensor | None = None


class PassOn(nn.Module):
    """Stands for a module that ran for all: gives back what it gets.

    It has children of the same names, since code may reach for them.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, child in module.named_children():
            self.add_module(name, PassOn(child))

    def forward(self, x: Any, *_: Any, **__: Any) -> Any:
        return x


class HandOver(PassOn):
    """Stands for the last such module: gives the map that it made."""

    def __init__(self, module: nn.Module, made: _Made) -> None:
        super().__init__(module)
        self._made = made

    def forward(self, *_: Any, **__: Any) -> Tensor:
        # A copy: what a branch does to it in place is not the others' affair.
        return self._made.map.clone()
