from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import TestLoop, ValLoop

from mmdistill.checkpoints import classes_of, names_of
from mmdistill.engine.utils import frozen_targets, unwrap
from mmdistill.models.distillers import BaseDistiller, Target
from mmdistill.registry import HOOKS

_SHOWN = 8  # names that a message lists


@HOOKS.register_module()
class ClassNamesHook(Hook):
    """Compares the names of classes before anything is learned or measured.

    A label is a position, and positions mean the same only if the names do:
    class folders of training and validation, the classes of the teacher's
    file, those of a checkpoint and of the test set. Loops that do without
    class scores (k-NN, episodes) are left alone. Every run has this
    hook.

    Raises:
        ValueError: if names differ where scores or labels are compared.
    """

    def before_train(self, runner) -> None:
        train = class_names(runner.train_dataloader.dataset)
        if type(runner.val_loop) is ValLoop:
            _require_same(
                train,
                class_names(runner.val_loop.dataloader.dataset),
                'train_dataloader.dataset',
                'val_dataloader.dataset',
            )
        self._check_teacher(runner, train)

    @staticmethod
    def _check_teacher(runner, train: tuple[str, ...] | None) -> None:
        model = unwrap(runner.model)
        for target in frozen_targets(model).values():
            if target.classes not in (None, train) and train is not None:
                ClassNamesHook._refuse(runner, model, target, train)

    @staticmethod
    def _refuse(
        runner, model: BaseDistiller, target: Target, train: tuple[str, ...]
    ) -> None:
        names = model.losses_on_scores_of(target.name)
        said = (
            f'the classes of {target.setting_ckpt} ({target.ckpt!r}) are '
            f'not those of train_dataloader.dataset: '
            f'{difference(target.classes, train)}'
        )
        if names:
            raise ValueError(
                f'{said}. The losses {names} compare class scores one by one. '
                'Train a teacher on these classes, use losses of features '
                'alone, or, if they are the same classes under other names, '
                "give the dataset the teacher's as its metainfo=dict("
                'classes=...)'
            )
        runner.logger.warning(
            f'{said}. Its losses compare no class scores, so training goes on'
        )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        # Of a test run the training loop is never built.
        if type(runner._test_loop) is not TestLoop or runner._resume:
            return
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        _require_same(
            classes_of(meta),
            class_names(runner.test_loop.dataloader.dataset),
            f'the checkpoint {runner._load_from!r}',
            'test_dataloader.dataset',
        )


def class_names(dataset) -> tuple[str, ...] | None:
    """Names of a dataset's classes in the order of its labels, if it tells."""
    meta = getattr(dataset, 'metainfo', None)
    names = meta.get('classes') if isinstance(meta, dict) else None
    return names_of(getattr(dataset, 'classes', None) if not names else names)


def _require_same(
    one: tuple[str, ...] | None,
    other: tuple[str, ...] | None,
    where_one: str,
    where_other: str,
) -> None:
    if one is None or other is None or one == other:
        return
    raise ValueError(
        f'{where_one} and {where_other} have other classes, so that one label '
        f'means two of them: {difference(one, other)}. Give both the same '
        'class folders, or the same list as classes=[...]'
    )


def difference(one: Sequence[str], other: Sequence[str]) -> str:
    """How two lists of class names differ, for an error message."""
    alone = [name for name in one if name not in set(other)]
    new = [name for name in other if name not in set(one)]
    if not alone and not new:
        pairs = enumerate(zip(one, other, strict=False))
        i = next((i for i, (a, b) in pairs if a != b), 0)
        return (
            f'the names are in another order, label {i} is {one[i]!r} in the '
            f'one and {other[i]!r} in the other'
        )
    parts = []
    for names, where in ((alone, 'first'), (new, 'second')):
        if names:
            more = f' and {len(names) - _SHOWN} more' * (len(names) > _SHOWN)
            parts.append(f'only the {where} has {names[:_SHOWN]}{more}')
    return '; '.join(parts)
