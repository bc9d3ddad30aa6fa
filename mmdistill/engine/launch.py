"""Start the processes of a run: alone, torchrun, Slurm or MPI, GPUs or not.

MMEngine's ``init_dist`` selects a GPU whatever the backend is, so it cannot
run on a node without one; under Slurm it takes what ``scontrol`` prints,
errors included, for the master's address, and every job meets on port 29500.
Here the process group is made before the runner is built; ``Runner`` finds it
and keeps it.
"""

from __future__ import annotations

import datetime
import gc
import logging
import os
import socket
import weakref
from contextlib import contextmanager

import torch
import torch.distributed as dist

# Its functions take the process group of the time of import as a default
# argument and never let go of it: import it while there is none.
import torch.distributed.nn
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log

from mmdistill.engine.launchers import ENVIRONMENTS
from mmdistill.registry import MODEL_WRAPPERS


@contextmanager
def launched(cfg: Config):
    """Run the body within ``cfg.launcher``'s processes, then part together.

    When the body ends, nothing outside it may hold the runner or the model,
    because their wrapper holds the process group: build and use them in a
    function that the body calls.

    After an error the group is left alone: taking it down can wait for the
    other processes, which the launcher ends once this one is gone.
    """
    init_launcher(cfg)
    yield
    if not dist.is_initialized():
        return
    # A thread of gloo that still has a tensor to free when the interpreter
    # shuts down is ended by CPython inside a C++ destructor, which aborts the
    # finished run. Only the group's own destructor joins these threads, and a
    # runner, which is part of reference cycles, keeps the group alive.
    gc.collect()
    # One that leaves early ends connections that others still use.
    dist.barrier()
    group = weakref.ref(dist.group.WORLD)
    dist.destroy_process_group()
    if group() is not None:
        print_log(
            'the process group is still in use after the run, so the process '
            'may abort when it exits; let go of the runner and the model '
            'within `with launched(cfg)`',
            logger='current',
            level=logging.WARNING,
        )


def init_launcher(cfg: Config) -> None:
    """Make the process group that ``cfg.launcher`` asks for.

    ``cfg.env_cfg.dist_cfg`` is read as MMEngine reads it: ``backend``
    (default: nccl with a GPU, gloo without), ``timeout`` in seconds, ``port``
    (for slurm and mpi), and further arguments of ``init_process_group``.
    Without a GPU nccl becomes gloo, and the model is wrapped accordingly.
    Accelerators and start-up libraries other than CUDA's and torch's are left
    to MMEngine.

    Raises:
        ValueError: if ``cfg.launcher`` is unknown.
        RuntimeError: if the launcher's variables are missing, the master
            cannot be found, or a node has more processes than GPUs.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none':
        return
    if launcher not in ENVIRONMENTS:
        raise ValueError(
            f'launcher={launcher!r} is unknown; --launcher takes none, '
            f'{", ".join(ENVIRONMENTS)}'
        )
    env_cfg = cfg.get('env_cfg') or {}
    options = dict(env_cfg.get('dist_cfg') or {})
    torch_starts = options.pop('init_backend', 'torch') == 'torch'
    if (
        dist.is_initialized()
        or not torch_starts
        or get_device() not in ('cuda', 'cpu', 'mps')
    ):
        return

    ENVIRONMENTS[launcher](options.pop('port', None))
    cuda = torch.cuda.is_available()
    wanted = options.pop('backend', 'nccl' if cuda else 'gloo')
    backend = 'gloo' if 'nccl' in wanted and not cuda else wanted
    if cuda:
        _select_gpu(launcher, backend)
    else:
        _wrap_for_cpu(cfg)
    if options.get('timeout') is not None:
        options['timeout'] = _seconds(options['timeout'])
    _check_master()
    try:
        dist.init_process_group(backend, **options)
    except RuntimeError as error:
        raise RuntimeError(
            f'cannot meet the other processes at {_master()}: {error}; if the '
            'port is taken or closed, choose another with MASTER_PORT (PORT '
            'for tools/dist_*.sh)'
        ) from error
    if dist.get_rank() == 0:
        print_log(
            f'{dist.get_world_size()} processes ({launcher}) meet at '
            f'{_master()} over {backend}'
            + ('' if backend == wanted else f': {wanted} needs a GPU'),
            logger='current',
        )


def _wrap_for_cpu(cfg: Config) -> None:
    """Keep MMEngine from naming a GPU when it wraps the model."""
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    kind = wrapper.get('type', 'MMDistributedDataParallel')
    kind = MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    if kind and issubclass(kind, torch.nn.parallel.DistributedDataParallel):
        wrapper.setdefault('device_ids', None)
    cfg.model_wrapper_cfg = wrapper


def _select_gpu(launcher: str, backend: str) -> None:
    """Give this process its GPU; ``LOCAL_RANK`` is what MMEngine reads.

    A task that Slurm binds to one GPU sees only that one, as number 0, so the
    position on the node is taken modulo the GPUs in sight.
    """
    local_rank, seen = int(os.environ['LOCAL_RANK']), torch.cuda.device_count()
    on_node = seen
    if launcher == 'slurm':
        on_node = max(seen, int(os.environ.get('SLURM_GPUS_ON_NODE', 0)))
    if local_rank >= on_node and 'nccl' in backend:
        raise RuntimeError(
            f'process {local_rank + 1} on {socket.gethostname()} has no GPU: '
            f'the node offers {on_node}; start at most one process a GPU '
            '(--ntasks-per-node, GPUS_PER_NODE for tools/slurm_*.sh, GPUS for '
            'tools/dist_*.sh), or share GPUs with '
            "--cfg-options env_cfg.dist_cfg.backend='gloo'"
        )
    os.environ['LOCAL_RANK'] = str(local_rank % seen)
    torch.cuda.set_device(local_rank % seen)


def _seconds(timeout: float) -> datetime.timedelta:
    if isinstance(timeout, datetime.timedelta):
        return timeout
    try:
        return datetime.timedelta(seconds=timeout)
    except TypeError as error:
        raise TypeError(
            f'env_cfg.dist_cfg.timeout={timeout!r} should be a number of '
            'seconds'
        ) from error


def _master() -> str:
    return f'{os.environ["MASTER_ADDR"]}:{os.environ["MASTER_PORT"]}'


def _check_master() -> None:
    """Fail at once where torch would wait for minutes."""
    host = os.environ['MASTER_ADDR']
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise RuntimeError(
            f'the host of the first process, {host!r}, does not resolve on '
            f'{socket.gethostname()} ({error}); set MASTER_ADDR to a name or '
            'an address that every node can reach'
        ) from error
