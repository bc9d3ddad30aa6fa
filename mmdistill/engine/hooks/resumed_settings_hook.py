from __future__ import annotations

import re
from typing import Any

from mmengine.hooks import Hook

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.settings import differences, known_keys
from mmdistill.registry import HOOKS

#: They say where a run is, not what it is.
_PLACES = {
    'experiment_name',
    'launcher',
    'load_from',
    'log_level',
    'resume',
    'runner_type',
    'work_dir',
}
_SHOWN = 40  # settings that a warning lists


@HOOKS.register_module()
class ResumedSettingsHook(Hook):
    """Says which settings of a resumed run are not those it began with.

    Optimizer and schedules continue with what the checkpoint holds, whatever
    the config says now; the seed does, too. Everything else follows the
    config. Every run has this
    hook.

    Raises:
        ValueError: if the optimizer, or a schedule, is of another type than
            the one whose state would be loaded into it.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # Imported late: exports import the models.
        from mmdistill.checkpoints.config_text import config_from_text

        text = (checkpoint.get('meta') or {}).get('cfg')
        if not runner._resume or not isinstance(text, str):
            return
        try:
            before = config_from_text(text, 'the checkpoint')
            now = config_from_text(runner.cfg.pretty_text, 'this run')
        except CheckpointError as error:
            runner.logger.warning(
                'the settings of this run cannot be compared with those of '
                f'the checkpoint: {error}'
            )
            return
        keys = known_keys() - _PLACES
        changed = differences(
            *({k: v for k, v in c.items() if k in keys} for c in (before, now))
        )
        if not changed:
            return
        _refuse_other_types(changed, checkpoint)
        rows = [('setting', 'at the start', 'now', 'in force')]
        for key, (old, new) in changed.items():
            kept = _is_kept(key, old, checkpoint)
            force = f'{_short(old)} (kept)' if kept else _short(new)
            rows.append((key, _short(old), _short(new), force))
        more = len(rows) - 1 - _SHOWN
        rows = rows[: _SHOWN + 1]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            '  '.join([*map(str.ljust, row[:3], widths), row[3]])
            for row in rows
        ]
        if more > 0:
            lines.append(f'and {more} more')
        runner.logger.warning(
            'this run goes on with other settings than it began with. '
            'Optimizer, schedules and seed keep what the checkpoint holds; to '
            'train with the new values, start anew with load_from, without '
            'resume.\n' + '\n'.join(lines)
        )


def _is_kept(key: str, old: Any, checkpoint: dict) -> bool:
    """Whether the checkpoint's value of a setting outlives the config's."""
    if key == 'randomness.seed':
        return (checkpoint.get('meta') or {}).get('seed') is not None
    in_optimizer = key.startswith('auto_scale_lr.') or re.match(
        r'optim_wrapper\.(\w+\.)?(optimizer|paramwise_cfg)\.', key
    )
    if in_optimizer:
        return 'optimizer' in checkpoint
    if key.startswith('param_scheduler'):
        # A schedule that was not there has no state to keep.
        return 'param_schedulers' in checkpoint and old != '(not set)'
    return False


def _refuse_other_types(changed: dict, checkpoint: dict) -> None:
    for key, (old, new) in changed.items():
        if not key.endswith('.type') or '(not set)' in (old, new):
            continue
        of_optimizer = 'optimizer' in checkpoint and re.fullmatch(
            r'optim_wrapper\.(\w+\.)?optimizer\.type', key
        )
        of_schedule = 'param_schedulers' in checkpoint and re.fullmatch(
            r'param_scheduler(\.\w+)*\.type', key
        )
        if of_optimizer or of_schedule:
            raise ValueError(
                f'{key} was {old!r} when this run began and is {new!r} now: '
                'the state of the one cannot be loaded into the other. Resume '
                f'with {key}={old!r}, or start anew with load_from, without '
                'resume'
            )


def _short(value: Any) -> str:
    text = repr(value) if value != '(not set)' else value
    return text if len(text) <= 40 else f'{text[:37]}...'
