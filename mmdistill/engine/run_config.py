"""What ``tools/train.py`` and ``tools/test.py`` do alike with a config.

Everything that can be wrong with the command is found here, before a dataset
or a model is built.
"""

from __future__ import annotations

import os
import os.path as osp
import sys
import tempfile
from argparse import Namespace

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from mmdistill.checkpoints import trust_checkpoints
from mmdistill.engine.settings import check_keys
from mmdistill.registry import RUNNERS
from mmdistill.utils import register_all_modules
from mmdistill.utils.config_reading import read_config


def load_config(args: Namespace) -> Config:
    """Read the config file and lay the options that both tools have over it.

    ``--cfg-options`` come first: the other flags, and the checks, apply to
    the config that results.

    Raises:
        FileNotFoundError: if the file does not exist.
        KeyError: if a top-level key is misspelt.
        OSError: if nothing can be written into the work folder.
    """
    # Modules that custom_imports names may lie in the current folder. At the
    # end of the path, so that nothing there hides an installed package.
    sys.path.append(os.getcwd())
    register_all_modules(init_default_scope=False)
    if args.trust_checkpoints:
        trust_checkpoints()
    require_file(args.config, 'the config')
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    check_keys(cfg, f'the config {args.config!r}')
    cfg.launcher = args.launcher
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('./work_dirs', name)
    _make_work_dir(cfg.work_dir)
    return cfg


def require_file(path: str, what: str) -> None:
    """Raise FileNotFoundError unless ``path`` is a file, or not a local one.

    ``what`` names it for the user: ``'the checkpoint (--resume)'``.
    """
    if '://' not in path and not osp.isfile(path):
        raise FileNotFoundError(
            f'{what} {path!r} is not a file; the current folder is '
            f'{os.getcwd()!r}'
        )


def leave_out_teachers(model: ConfigDict, keep: str | None = None) -> None:
    """Do without the teachers' files, which only training needs.

    Args:
        model: config of a distiller, or of a plain model.
        keep: name of a teacher whose file is needed, because it is tested.
    """
    if model.get('teacher_ckpt') is not None and keep != 'teacher':
        model.teacher_ckpt = None
    for name, teacher in (model.get('teachers') or {}).items():
        if name != keep:
            teacher.ckpt = None


def _make_work_dir(folder: str) -> None:
    """Create the folder, and see that files can be written into it."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(
            f'cannot write into the work folder {folder!r} '
            f'({error.strerror}); choose another with --work-dir'
        ) from error


def set_dataloader_defaults(
    cfg: Config, pin_memory: bool = True, persistent_workers: bool = True
) -> None:
    """Complete every ``*_dataloader`` of a config as MMPretrain does.

    What torch refuses (persistent workers or prefetching without workers) or
    warns about (pinned memory without a GPU) is switched off, even where the
    config asks for it: ``num_workers=0`` alone has to be enough to debug.
    """
    loaders = [
        cfg[name]
        for name in cfg
        if name.endswith('_dataloader') and isinstance(cfg[name], dict)
    ]
    for loader in loaders:
        loader.setdefault('pin_memory', True)
        loader.setdefault('persistent_workers', True)
        loader.setdefault('collate_fn', ConfigDict(type='default_collate'))
        if not pin_memory or not torch.cuda.is_available():
            loader.pin_memory = False
        if not persistent_workers or not loader.get('num_workers', 0):
            loader.persistent_workers = False
        if not loader.get('num_workers', 0):
            loader.pop('prefetch_factor', None)


def build_runner(cfg: Config) -> Runner:
    """The runner of ``cfg.runner_type``, by default `DistillRunner`."""
    kind = cfg.get('runner_type', 'DistillRunner')
    runner = RUNNERS.get(kind) if isinstance(kind, str) else kind
    if runner is None:
        raise KeyError(
            f'runner_type={kind!r} is not registered; set it to '
            "'DistillRunner', or name the module of your runner in "
            'custom_imports'
        )
    return runner.from_cfg(cfg)
