"""Taking the classifier off a network whose classes we do not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmdistill.models.network_maps import first_tensor, pooled_map
from mmdistill.models.probing import evaluating

# Without its classifier a network must answer as before; rounding apart.
_SAME = 1e-4


class ClassifierError(ValueError):
    """A network whose classifier cannot be told from the rest of it."""


def pooled(output: Any, images: Sequence[int]) -> Tensor:
    """The feature (N, D) in what a network without a classifier returns.

    Args:
        output: a tensor; scores or a pooled output as Hugging Face's models
            return them; or a map or patch tokens, whose mean is taken; or
            tokens that begin with a class token, which is taken.
        images: shape of the network's input, (N, C, H, W).
    Raises:
        ClassifierError: if there is no such thing in it.
    """
    for name in ('logits', 'pooler_output'):
        value = getattr(output, name, None)
        if value is not None:
            return value.flatten(1)
    value = first_tensor(output)
    if value is None or value.ndim not in (2, 3, 4):
        shape = type(output) if value is None else tuple(value.shape)
        raise ClassifierError(f'it returns {shape}, no feature (N, D)')
    if value.ndim == 2:
        return value
    mean = pooled_map(value, images)
    return value[:, 0] if mean is None else mean


class _Slot(nn.Module):
    """In place of one of several classifiers whose scores are averaged.

    It passes its input on at a place of its own, so that the average is all
    inputs side by side.
    """

    def __init__(self, before: int, after: int, factor: float) -> None:
        super().__init__()
        self.padding = before, after
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x * self.factor, self.padding)


def take_off_classifier(
    network: nn.Module, images: Tensor, names: Sequence[str] | None = None
) -> tuple[nn.Linear, dict[str, float]] | None:
    """Remove the last linear layer, and give it back.

    Afterwards `pooled` of the network's output is the layer's input. Of a
    network that averages several classifiers (DeiT, LeViT), one layer
    replaces them, on their inputs side by side.

    Args:
        network: is changed.
        images: (N, C, H, W) that it takes.
        names: of the classifiers; found by running when None.
    Returns:
        the layer, and each classifier's name with its share of the scores;
        None if no linear layer gives the network's output; then the network
        is as it was.
    Raises:
        ClassifierError: if ``names`` are given, and are not the classifiers.
    """
    with evaluating(network), torch.random.fork_rng(devices=[]):
        shares = _find(network, images, names)
        if names is not None and set(names) != set(shares):
            raise ClassifierError(
                f'{sorted(set(names) - set(shares))} are no linear layers '
                'whose average is what the network returns'
            )
        if not shares:
            return None
        with torch.no_grad():
            expected = pooled(network(images), images.shape)
        linears = {name: network.get_submodule(name) for name in shares}
        joined = _joined(linears, shares)
        _replace(network, linears, shares)
        try:
            with torch.no_grad():
                feature = pooled(network(images), images.shape)
                same = _alike(joined(feature), expected)
        except RuntimeError:  # the shapes do not fit any more
            same = False
    if same:
        return joined, shares
    for name, linear in linears.items():
        network.set_submodule(name, linear)
    if names is not None:
        raise ClassifierError(
            f'without {list(shares)} the network does not return their input'
        )
    return None


def _replace(
    network: nn.Module,
    linears: dict[str, nn.Module],
    shares: dict[str, float],
) -> None:
    """Put in the classifiers' place what passes their inputs on."""
    total = sum(map(_width, linears.values()))
    before = 0
    for name, linear in linears.items():
        after = total - before - _width(linear)
        slot = nn.Identity()
        if len(linears) > 1:
            slot = _Slot(before, after, 1 / shares[name])
        network.set_submodule(name, slot)
        before += _width(linear)


def _alike(actual: Tensor, expected: Tensor) -> bool:
    scale = expected.abs().max() + torch.finfo(expected.dtype).tiny
    return bool((actual - expected).abs().max() <= _SAME * scale)


def joined_state(
    state: dict[str, Tensor], shares: dict[str, float]
) -> dict[str, Tensor]:
    """Take the classifiers' tensors out of a state; the joined one's.

    Args:
        state: of the network as its library has it; loses the classifiers.
        shares: as `take_off_classifier` returns them.
    """
    found: dict[str, list[Tensor]] = {'weight': [], 'bias': []}
    for name, share in shares.items():
        for key, values in found.items():
            if (value := state.pop(f'{name}.{key}', None)) is not None:
                values.append(share * _flat(value))
    weights, biases = found.values()
    joined = dict(weight=torch.cat(weights, dim=1)) if weights else {}
    if biases:
        joined['bias'] = torch.stack(biases).sum(dim=0)
    return joined


def _find(
    network: nn.Module, images: Tensor, names: Sequence[str] | None
) -> dict[str, float]:
    """Linear layers whose outputs add up to the network's, with their shares.

    The share of a layer is the derivative of the scores by its output, which
    is the same everywhere for a layer that nothing but averages follows.
    """
    given: dict[str, Tensor] = {}

    def note(name: str, output: Tensor) -> None:
        given[name] = output

    handles = [
        module.register_forward_hook(
            lambda _, args, output, name=name: note(name, output)
        )
        for name, module in network.named_modules()
        if _is_linear(module) and (names is None or name in names)
    ]
    try:
        with torch.enable_grad():
            output = network(images.detach().requires_grad_())
            scores = pooled(output, images.shape)
            alike = {
                n: x
                for n, x in given.items()
                if x.flatten(1).shape == scores.shape and x.requires_grad
            }
            if not alike:
                return {}
            gradients = torch.autograd.grad(
                scores.sum(), list(alike.values()), allow_unused=True
            )
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: float(gradient.flatten()[0])
        for name, gradient in zip(alike, gradients, strict=True)
        if gradient is not None
        and gradient.flatten()[0] != 0
        and bool((gradient == gradient.flatten()[0]).all())
    }


def _flat(value: Tensor) -> Tensor:
    """A classifier's tensor without the sides of a convolution's kernel."""
    return value.flatten(1) if value.ndim == 4 else value


def _is_linear(module: nn.Module) -> bool:
    """Whether it is a linear layer; of a pooled map, a convolution is one."""
    return isinstance(module, nn.Linear) or (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.groups == 1
    )


def _width(linear: nn.Module) -> int:
    """How many numbers it takes."""
    return linear.weight.shape[1]


def _joined(
    linears: dict[str, nn.Module], shares: dict[str, float]
) -> nn.Linear:
    """One layer on the inputs of several, side by side."""
    first = next(iter(linears.values()))
    if len(linears) == 1 and isinstance(first, nn.Linear):
        return first
    state = {
        f'{name}.{key}': value
        for name, linear in linears.items()
        for key, value in linear.state_dict().items()
    }
    values = joined_state(state, shares)
    width, classes = values['weight'].shape[::-1]
    joined = nn.Linear(width, classes, bias='bias' in values)
    joined.load_state_dict(values)
    return joined
