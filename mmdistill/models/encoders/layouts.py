"""Convert the checkpoints of MoCo-v2, SwAV and DINO to our weight names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmdistill.checkpoints import CheckpointError, state_dict_of
from mmdistill.models.encoders.encoder_zoo import ENCODER_ZOO

#: Layout name to a description, for error messages.
LAYOUTS = dict(
    mocov2="{'state_dict': {'module.encoder_q.conv1.weight', ..., "
    "'module.encoder_q.fc.0.weight', 'module.encoder_q.fc.2.weight', ...}}",
    swav="{'module.conv1.weight', ..., 'module.projection_head.0.weight', "
    "..., 'module.prototypes.weight'}, also under 'state_dict'",
    dino="{'teacher': {'backbone...', 'head.mlp.0.weight', ..., "
    "'head.last_layer.weight_g', 'head.last_layer.weight_v'}, ...}, or "
    "'head.last_layer.weight' alone",
    dino_backbone="{'cls_token', 'pos_embed', 'patch_embed.proj.weight', "
    "'blocks.0...', ...} or {'conv1.weight', 'layer1.0.conv1.weight', ...} "
    "without 'fc.weight'",
)

# Weight names in DINO's ViT (timm's) and in MMPretrain's; no ResNet weight
# matches one.
_VIT_NAMES = (
    ('backbone.patch_embed.proj.', 'backbone.patch_embed.projection.'),
    ('backbone.norm.', 'backbone.ln1.'),
    ('backbone.blocks.', 'backbone.layers.'),
    ('.norm1.', '.ln1.'),
    ('.norm2.', '.ln2.'),
    ('.mlp.fc1.', '.ffn.layers.0.0.'),
    ('.mlp.fc2.', '.ffn.layers.1.'),
)


def from_authors(
    checkpoint: object, name: str
) -> tuple[str, dict[str, Tensor]]:
    """Detect a checkpoint's layout and rename its weights for our encoders.

    From DINO it takes the teacher, from MoCo the query encoder.

    Args:
        checkpoint: the content of the file, from ``load_file``.
        name: name of the checkpoint in error messages, such as its path.
    Returns:
        The layout's name in ``LAYOUTS``, and the weights of backbone, head and
        prototypes, as far as the file has them.
    Raises:
        CheckpointError: if the layout is unknown.
    """
    if isinstance(checkpoint, dict) and 'teacher' in checkpoint:
        state = state_dict_of(checkpoint['teacher'], f"{name}['teacher']")
    else:
        state = state_dict_of(checkpoint, name)
    layout = _layout_of(state)
    if layout is None:
        raise CheckpointError(
            f'{name} has none of the known layouts; it holds '
            f'{_some(checkpoint)}, with the weights {_some(state)}. Known '
            'are\n  '
            + '\n  '.join(f'{key}: {like}' for key, like in LAYOUTS.items())
        )
    if layout == 'mocov2':
        return layout, _renamed(
            state, {'encoder_q.fc.': 'head.', 'encoder_q.': 'backbone.'}
        )
    if layout == 'swav':
        return layout, _renamed(
            state,
            {
                'projection_head.': 'head.',
                'prototypes.': 'prototypes.',
                '': 'backbone.',
            },
        )
    return layout, _from_dino(state)


def encoder_config(layout: str, state: Mapping[str, Tensor]) -> dict:
    """The zoo's encoder config for the weights from `from_authors`.

    The weights determine which parts there are, the number of prototypes,
    whether prototypes have lengths, and the depth, widths and BatchNorm of
    DINO's head. All other widths are those of the published network.
    """
    if layout.startswith('dino'):
        vit = 'backbone.cls_token' in state
        name = 'dino_deit_small' if vit else 'dino_resnet50'
    else:
        name = f'{layout}_resnet50'
    cfg = ENCODER_ZOO[name]()
    head = [key for key in state if key.startswith('head.')]
    if not head:
        cfg['head'] = None
    elif layout == 'dino':
        linear = [key for key in head if state[key].ndim == 2]
        cfg['head'].update(
            batch_norm='head.1.running_mean' in state,
            num_layers=len(linear),
            hidden_dim=len(state[linear[0]]),
            out_dim=len(state[linear[-1]]),
        )
    if 'prototypes.weight' not in state:
        cfg['prototypes'] = None
    else:
        cfg['prototypes'].update(
            num_prototypes=len(state['prototypes.weight']),
            weight_norm='prototypes.scale' in state,
        )
    return cfg


def _layout_of(state: Mapping[str, Tensor]) -> str | None:
    if 'encoder_q.conv1.weight' in state:
        return 'mocov2'
    if 'projection_head.0.weight' in state:
        return 'swav'
    last = {'head.last_layer.weight_v', 'head.last_layer.weight'}
    if last & state.keys() and any(
        key.startswith('backbone.') for key in state
    ):
        return 'dino'
    resnet = 'layer1.0.conv1.weight' in state and 'fc.weight' not in state
    return 'dino_backbone' if resnet or 'cls_token' in state else None


def _renamed(
    state: Mapping[str, Tensor], prefixes: Mapping[str, str]
) -> dict[str, Tensor]:
    """Replace the first matching prefix; drop weights without a match."""
    result = {}
    for key, value in state.items():
        for old, new in prefixes.items():
            if key.startswith(old):
                result[new + key.removeprefix(old)] = value
                break
    return result


def _from_dino(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = _renamed(
        state,
        {
            'backbone.': 'backbone.',
            'head.mlp.': 'head.',
            'head.last_layer.weight_v': 'prototypes.weight',
            'head.last_layer.weight_g': 'prototypes.scale',
            'head.last_layer.weight': 'prototypes.weight',
            '': 'backbone.',
        },
    )
    if 'prototypes.weight' in state and 'prototypes.scale' not in state:
        # Saved as plain weights, without weight norm: split off the lengths.
        rows = state['prototypes.weight']
        state['prototypes.scale'] = rows.norm(dim=1, keepdim=True)
    # With norm_last_layer=True the lengths are fixed at 1: drop them.
    if 'prototypes.scale' in state and (state['prototypes.scale'] == 1).all():
        del state['prototypes.scale']
    result = {}
    for key, value in state.items():
        for old, new in _VIT_NAMES:
            key = key.replace(old, new)
        result[key] = value
    return result


def _some(content: object, most: int = 6) -> str:
    """The first keys of a dict, for an error."""
    if not isinstance(content, dict):
        return f'a {type(content).__name__}'
    keys = list(content)
    more = f' and {len(keys) - most} more' if len(keys) > most else ''
    return f'{keys[:most]}{more}'
