from __future__ import annotations

from mmdistill.checkpoints import atomic_save
from mmdistill.export.formats import ExportFormat, ExportOptions
from mmdistill.export.students import Student
from mmdistill.registry import EXPORT_FORMATS

# Arguments of ResNet that MMPretrain's and MMDetection's have alike.
_RESNET = (
    'type', 'depth', 'in_channels', 'stem_channels', 'base_channels',
    'num_stages', 'strides', 'dilations', 'style', 'deep_stem', 'avg_down',
    'conv_cfg', 'norm_cfg', 'norm_eval', 'zero_init_residual', 'with_cp',
)  # fmt: skip


@EXPORT_FORMATS.register_module('mmdet')
class MMDetFormat(ExportFormat):
    """The backbone alone, and the lines that use it in MMDetection."""

    about = (
        'the backbone alone, for init_cfg of a model of MMDetection; the '
        'lines for its config are printed and in meta.snippet'
    )

    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        checkpoint = to_mmdet(student, path)
        atomic_save(checkpoint, path)
        return f'in a config of MMDetection:\n{checkpoint["meta"]["snippet"]}'


def to_mmdet(student: Student, path: str) -> dict:
    """The backbone alone, for ``init_cfg`` of one of MMDetection's models.

    MMDetection's ResNet has MMPretrain's names. Every other backbone is used
    from here, which ``meta.snippet`` says how to do.

    Args:
        student: any.
        path: where the file will lie, for the snippet.
    Returns:
        ``state_dict`` without a prefix, and ``meta`` with ``snippet``, the
        lines that a config of MMDetection needs.
    """
    backbone = {'type': None, **student.cfg.model.backbone}  # type first
    lines = []
    if backbone['type'] == 'ResNet' and set(backbone) <= {
        *_RESNET, 'out_indices', 'init_cfg'
    }:  # fmt: skip
        backbone['out_indices'] = (0, 1, 2, 3)
        backbone.setdefault('style', 'pytorch')
    else:
        module = type(student.model.backbone).__module__
        scope = (
            'mmpretrain' if module.startswith('mmpretrain') else 'mmdistill'
        )
        if module.startswith(scope):
            module = f'{scope}.models'  # else a plug-in, in our registry
        kind = backbone['type'].split('.')[-1]
        backbone['type'] = f'{scope}.{kind}'
        lines = [
            f"custom_imports = dict(imports=['{module}'])",
            '# out_indices: the maps that the neck wants',
        ]
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=path)
    lines.append(f'model = dict(backbone={_as_code(backbone)})')
    state = {
        key.removeprefix('backbone.'): value
        for key, value in student.checkpoint['state_dict'].items()
        if key.startswith('backbone.')
    }
    return dict(meta=dict(snippet='\n'.join(lines)), state_dict=state)


def _as_code(settings: dict) -> str:
    inside = ', '.join(
        f'{key}={_as_code(value) if isinstance(value, dict) else repr(value)}'
        for key, value in settings.items()
    )
    return f'dict({inside})'
