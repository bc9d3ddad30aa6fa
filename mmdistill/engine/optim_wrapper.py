"""MMEngine's optimizer wrappers, which also clip tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine import optim
from torch import Tensor

from mmdistill.registry import OPTIM_WRAPPERS


@torch.no_grad()
def clip_norm_per_tensor_(
    parameters: Sequence[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale each gradient down to ``max_norm``, whatever the others are.

    g <- g * min(1, max_norm / (||g|| + 1e-6)) for every tensor g by itself.
    A gradient with a NaN becomes NaN throughout, one with an infinity keeps a
    NaN; the others stay what they are.

    Source: ``clip_gradients`` in the code of Caron et al., Emerging
    Properties in Self-Supervised Vision Transformers (DINO), ICCV 2021,
    https://github.com/facebookresearch/dino.

    Args:
        parameters: whose ``grad`` is scaled in place; those without are
            passed by.
        max_norm: largest norm that a gradient keeps.
        norm_type: p of the norm.
    Shape:
        returns (), the norm of all gradients together before they were
        scaled.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    norms = torch._foreach_norm(gradients, norm_type)
    factors = torch._foreach_add(norms, 1e-6)
    torch._foreach_reciprocal_(factors)
    torch._foreach_mul_(factors, max_norm)
    torch._foreach_clamp_max_(factors, 1.0)
    torch._foreach_mul_(gradients, factors)
    joined = torch.stack([norm.to(norms[0]) for norm in norms])
    return torch.linalg.vector_norm(joined, norm_type)


class _ClipsPerTensor:
    """Knows ``clip_grad=dict(type='norm_per_tensor', max_norm=...)``.

    Gradients are clipped where MMEngine does it: once an optimizer step, after
    accumulation, after unscaling, and before `FreezeHook` drops some. The log
    has 'grad_norm', the norm over all tensors before clipping, as with
    MMEngine's 'norm'.

    Args:
        clip_grad: MMEngine's types 'norm' (the default), over all gradients
            jointly, and 'value'; or 'norm_per_tensor', see
            `clip_norm_per_tensor_`.
    Raises:
        ValueError: for another type, or arguments that the type lacks or does
            not know.
    Config:
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=0.001),
            clip_grad=dict(type='norm_per_tensor', max_norm=3.0))
    """

    def __init__(self, *args, clip_grad: dict | None = None, **kwargs) -> None:
        clip_grad = None if clip_grad is None else dict(clip_grad)
        kind = (clip_grad or {}).get('type', 'norm')
        if kind not in ('norm', 'value', 'norm_per_tensor'):
            raise ValueError(
                "optim_wrapper.clip_grad.type is 'norm' (all gradients "
                "jointly), 'norm_per_tensor' (each by itself) or 'value', got "
                f'{kind!r}'
            )
        per_tensor = kind == 'norm_per_tensor'
        if per_tensor:
            del clip_grad['type']
            _check(clip_grad)
        super().__init__(*args, clip_grad=clip_grad, **kwargs)
        if per_tensor:
            self.clip_func = clip_norm_per_tensor_


def _check(clip_grad: dict) -> None:
    unknown = clip_grad.keys() - {'max_norm', 'norm_type'}
    max_norm = clip_grad.get('max_norm')
    if unknown or not isinstance(max_norm, int | float) or not max_norm > 0:
        raise ValueError(
            "optim_wrapper.clip_grad of type 'norm_per_tensor' takes "
            f'max_norm > 0 and norm_type, got {clip_grad}'
        )


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(_ClipsPerTensor, optim.OptimWrapper):
    __doc__ = _ClipsPerTensor.__doc__


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_ClipsPerTensor, optim.AmpOptimWrapper):
    __doc__ = _ClipsPerTensor.__doc__
