"""What a backbone gives, as maps: its outputs, its tokens or its stages'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from mmdistill.models.probing import attributes


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

        def keep_tokens(
            x: Tensor, size: tuple[int, int], *has_class_token: bool
        ) -> Tokens:
            return Tokens(form(x, size, *has_class_token), x, size)

        with attributes(backbone, _format_output=keep_tokens):
            outputs = backbone(images)
    else:
        outputs = backbone(images)
    return outputs if isinstance(outputs, tuple) else (outputs,)


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
