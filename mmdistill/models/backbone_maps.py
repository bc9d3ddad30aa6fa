"""What a backbone gives, as maps: its outputs, its tokens or its stages'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmdistill.models.probing import attributes, last_calls

# A map whose side is at most this part of the one before was downsampled.
_DOWNSAMPLED = 2 / 3


@dataclass
class Tokens:
    """Output of a token backbone: as its head wants it, and the tokens."""

    output: Any
    tokens: Tensor
    size: tuple[int, int]


def run_backbone(
    backbone: nn.Module,
    images: Tensor,
    with_tokens: bool,
    pre_activation: bool = False,
) -> tuple:
    """The outputs of a backbone, always as a tuple.

    Args:
        backbone: any.
        images: (N, C, H, W).
        with_tokens: give a token backbone's outputs as `Tokens`.
        pre_activation: give maps from before their activation.
    """
    if pre_activation:
        with attributes(backbone, pre_activation=True):
            outputs = backbone(images)
    elif with_tokens and hasattr(backbone, '_format_output'):
        form = backbone._format_output

        def keep_tokens(x: Tensor, size: tuple[int, int]) -> Tokens:
            return Tokens(form(x, size), x, size)

        with attributes(backbone, _format_output=keep_tokens):
            outputs = backbone(images)
    else:
        outputs = backbone(images)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def find_stages(
    backbone: nn.Module, images: Tensor
) -> dict[nn.Module, Tensor]:
    """The backbone's children that make the last map of a resolution.

    Pooling alone makes none, and a border that a convolution without padding
    takes away is not yet another resolution.
    """
    learning = [
        child
        for child in backbone.children()
        if next(child.parameters(), None) is not None
    ]
    with last_calls(learning) as calls:
        backbone(images)
    maps = {m: out for m, (_, out) in calls.items() if is_map(out)}
    sizes = [*(out.shape[-1] for out in maps.values()), 0]
    return {
        module: output
        for (module, output), after in zip(
            maps.items(), sizes[1:], strict=True
        )
        if after <= output.shape[-1] * _DOWNSAMPLED
    }


def output_of(output: Any) -> Any:
    """What the backbone's head takes."""
    return output.output if isinstance(output, Tokens) else output


def is_map(output: Any) -> bool:
    """Whether `map_of` makes a map of it."""
    return isinstance(output, Tokens) or (
        isinstance(output, Tensor) and output.ndim == 4
    )


def map_of(output: Any) -> Tensor:
    """A backbone output as a map: patch tokens become (N, D, h, w)."""
    if not isinstance(output, Tokens):
        return output
    patches = output.tokens[:, -output.size[0] * output.size[1] :]
    return patches.transpose(1, 2).unflatten(2, tuple(output.size))
