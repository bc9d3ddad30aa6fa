from __future__ import annotations

import re

from mmengine import hooks
from mmengine.dist import is_main_process

from mmdistill.checkpoints import clear_temporary
from mmdistill.engine.resume import POINTER, point_to
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """MMEngine's, except that no kill leaves the folder without a checkpoint.

    An old checkpoint is deleted once the new one is written, and
    ``last_checkpoint``, which is replaced as a whole, names it; MMEngine does
    so in the opposite order. It takes this one's place in the scope
    ``mmdistill``. What a killed run left half written is cleared when training
    starts.

    Args:
        args, kwargs: of MMEngine's.
    Config:
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', interval=1, max_keep_ckpts=2))
    """

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if is_main_process() and '://' not in str(self.out_dir):
            names = re.sub(r'{.*?}', '*', self.filename_tmpl)
            clear_temporary(self.out_dir, names, f'best_*_{names}')
            clear_temporary(runner.work_dir, POINTER)

    def _save_checkpoint_with_step(self, runner, step: int, meta) -> None:
        """As MMEngine's, in another order."""
        outdated = None
        if self.max_keep_ckpts > 0 and [*self.keep_ckpt_ids][-1:] != [step]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info(
                'keep_ckpt_ids', list(self.keep_ckpt_ids)
            )
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        point_to(runner.work_dir, self.last_ckpt)
        if outdated is not None:
            self._remove(
                self.file_backend.join_path(
                    self.out_dir, self.filename_tmpl.format(outdated)
                )
            )

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """As MMEngine's, which would first remove what it is told of."""
        if not self.save_best:
            return
        before = self._best()
        self._set_best([None] * len(before))
        super()._save_best_checkpoint(runner, metrics)
        after = [
            new or old for new, old in zip(self._best(), before, strict=True)
        ]
        self._set_best(after)
        if is_main_process():
            for path in {*before} - {*after, None}:
                self._remove(path)
                runner.logger.info(f'removed the previous best {path}')

    def _best(self) -> list[str | None]:
        """The best checkpoint so far, by each metric of ``save_best``."""
        if len(self.key_indicators) == 1:
            return [self.best_ckpt_path]
        return list(self.best_ckpt_path_dict.values())

    def _set_best(self, paths: list[str | None]) -> None:
        if len(self.key_indicators) == 1:
            [self.best_ckpt_path] = paths
        else:
            names = list(self.best_ckpt_path_dict)
            self.best_ckpt_path_dict = dict(zip(names, paths, strict=True))

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's are folders
            self.file_backend.rmtree(path)
