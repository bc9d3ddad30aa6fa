"""What torchrun, Slurm and MPI say about a process, as torch reads it.

Each function sets ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR``
and ``MASTER_PORT``, or raises RuntimeError.
"""

from __future__ import annotations

import os
import re
import subprocess
import zlib

import torch

#: Below the ports that Linux hands out by itself, above those of services.
PORTS = range(15000, 30000)


def _require(launcher: str, hint: str, *names: str) -> list[str]:
    """Values from the environment; ``'A|B'`` takes B where A is not set."""
    values, missing = [], []
    for name in names:
        given = [os.environ.get(n) for n in name.split('|')]
        given = [value for value in given if value is not None]
        values += given[:1]
        missing += [] if given else [name]
    if missing:
        raise RuntimeError(
            f'--launcher {launcher} was given, but {", ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} not set; {hint}'
        )
    return values


def _set_ranks(rank: str, world_size: str, local_rank: str) -> None:
    os.environ.update(RANK=rank, WORLD_SIZE=world_size, LOCAL_RANK=local_rank)


def set_port(port: int | None, job: int, step: int = 0) -> None:
    """Jobs on one host must not meet: near job ids give different ports."""
    if port is None:
        port = os.environ.get('MASTER_PORT')
    if port is None:
        port = PORTS[(job * 101 + step) % len(PORTS)]
    os.environ['MASTER_PORT'] = str(port)


def _from_torchrun(port: int | None) -> None:
    _require(
        'pytorch',
        'start with tools/dist_train.sh or torchrun',
        'RANK',
        'WORLD_SIZE',
        'LOCAL_RANK',
        'MASTER_ADDR',
        'MASTER_PORT',
    )


def _from_slurm(port: int | None) -> None:
    env = os.environ
    hint = 'start with tools/slurm_train.sh or srun'
    if env.get('ENVIRONMENT') == 'BATCH' and 'SLURM_STEP_ID' not in env:
        # Slurm gives the script a rank, too, that would wait for the others.
        raise RuntimeError(
            f'--launcher slurm in a batch script, without srun; {hint}'
        )
    rank, world_size, nodes = _require(
        'slurm',
        hint,
        'SLURM_PROCID',
        'SLURM_STEP_NUM_TASKS|SLURM_NTASKS',
        'SLURM_STEP_NODELIST|SLURM_NODELIST',
    )
    local_rank = env.get('SLURM_LOCALID')
    if local_rank is None:
        local_rank = str(int(rank) % max(1, torch.cuda.device_count()))
    _set_ranks(rank, world_size, local_rank)
    set_port(
        port, int(env.get('SLURM_JOB_ID', 0)), int(env.get('SLURM_STEP_ID', 0))
    )
    if 'MASTER_ADDR' not in env:
        env['MASTER_ADDR'] = _first_host(nodes)


def _first_host(nodes: str) -> str:
    """The first name of a Slurm node list such as ``gpu[01-03,07]``."""
    try:
        shown = subprocess.run(
            ['scontrol', 'show', 'hostnames', nodes],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return shown.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        if re.fullmatch(r'[\w.-]+', nodes):
            return nodes
        said = (getattr(error, 'stderr', None) or str(error)).strip()
        raise RuntimeError(
            f'`scontrol show hostnames {nodes}` did not name the first node '
            f'({said}); set MASTER_ADDR to its name'
        ) from error


def _from_mpi(port: int | None) -> None:
    env = os.environ
    rank, world_size, local_rank = _require(
        'mpi',
        'start with mpirun of Open MPI',
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    )
    _set_ranks(rank, world_size, local_rank)
    set_port(port, zlib.crc32(env.get('PMIX_NAMESPACE', '').encode()))
    if env.get('OMPI_COMM_WORLD_LOCAL_SIZE') == world_size:
        env.setdefault('MASTER_ADDR', '127.0.0.1')
    _require(
        'mpi',
        'name the first node with mpirun -x MASTER_ADDR=NAME',
        'MASTER_ADDR',
    )


#: What sets the variables that torch reads, by launcher.
ENVIRONMENTS = dict(pytorch=_from_torchrun, slurm=_from_slurm, mpi=_from_mpi)
