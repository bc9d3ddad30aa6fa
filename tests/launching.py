"""The environment in which launchers start a process."""

from __future__ import annotations

import torch
from mmengine.config import Config

CPU = not torch.cuda.is_available()

SLURM = dict(
    SLURM_PROCID='0',
    SLURM_NTASKS='1',
    SLURM_LOCALID='0',
    SLURM_NODELIST='localhost',
    SLURM_JOB_ID='7',
    SLURM_STEP_ID='0',
)


def config(launcher, **dist_cfg):
    return Config(dict(launcher=launcher, env_cfg=dict(dist_cfg=dist_cfg)))


def no_scontrol(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
