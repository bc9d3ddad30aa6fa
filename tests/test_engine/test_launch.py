"""How the processes of a run find each other."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from launching import CPU, SLURM, config, no_scontrol
from torch.nn.parallel import DistributedDataParallel

from mmdistill.engine import launch


# One process, in this one ---------------------------------------------------
def test_none_starts_nothing(environment):
    cfg = config('none')
    with launch.launched(cfg):
        assert not torch.distributed.is_initialized()
    assert 'model_wrapper_cfg' not in cfg


@pytest.mark.skipif(not CPU, reason='what is done where there is no GPU')
def test_slurm_without_gpus_takes_gloo(environment, monkeypatch, tmp_path):
    environment(**SLURM)
    no_scontrol(monkeypatch, tmp_path)  # one plain name needs none
    cfg = config('slurm', backend='nccl', timeout=60)
    with launch.launched(cfg):
        assert torch.distributed.get_backend() == 'gloo'
        assert os.environ['MASTER_ADDR'] == 'localhost'
        assert cfg.model_wrapper_cfg.device_ids is None
        assert not cfg.model_wrapper_cfg.broadcast_buffers
    assert not torch.distributed.is_initialized()


@pytest.mark.skipif(not CPU, reason='what is done where there is no GPU')
def test_a_wrapper_of_the_config_stays(environment):
    environment(RANK='0', WORLD_SIZE='1', LOCAL_RANK='0')
    environment(MASTER_ADDR='127.0.0.1', MASTER_PORT='0')
    cfg = config('pytorch')
    cfg.model_wrapper_cfg = dict(broadcast_buffers=True)
    with launch.launched(cfg):
        pass
    assert cfg.model_wrapper_cfg == dict(
        broadcast_buffers=True, device_ids=None
    )


def test_open_mpi_on_one_node_needs_no_address(environment):
    environment(OMPI_COMM_WORLD_RANK='0', OMPI_COMM_WORLD_SIZE='1')
    environment(OMPI_COMM_WORLD_LOCAL_RANK='0', OMPI_COMM_WORLD_LOCAL_SIZE='1')
    with launch.launched(config('mpi', backend='gloo', port=0)):
        assert torch.distributed.get_world_size() == 1
    environment(OMPI_COMM_WORLD_SIZE='2')
    os.environ.pop('MASTER_ADDR')
    with pytest.raises(RuntimeError, match='mpirun -x MASTER_ADDR'):
        launch.init_launcher(config('mpi'))


def gloo_threads():
    """How many worker threads of process groups this process has."""
    names = Path('/proc/self/task').glob('*/comm')
    return sum('gloo' in name.read_text() for name in names)


@pytest.mark.skipif(not CPU, reason='what is done where there is no GPU')
@pytest.mark.skipif(sys.platform != 'linux', reason='it looks into /proc')
@pytest.mark.parametrize('held', [False, True])
def test_no_thread_of_the_group_outlives_the_run(
    environment, monkeypatch, held
):
    """One that does aborts the process, now and then, when it exits."""
    environment(**SLURM, MASTER_PORT='0')
    before, kept, said = gloo_threads(), [], []
    monkeypatch.setattr(launch, 'print_log', lambda m, **_: said.append(m))

    def run():
        model = DistributedDataParallel(torch.nn.Linear(2, 2))
        model(torch.ones(1, 2)).sum().backward()
        model.runner = [model]  # a cycle, as of a runner and its loops
        kept.extend([model] if held else [])

    with launch.launched(config('slurm', backend='gloo', port=0)):
        run()
        assert gloo_threads() > before
    assert (gloo_threads() > before) == held
    assert ('let go of the runner' in said[-1]) == held


# What can be wrong ----------------------------------------------------------
@pytest.mark.parametrize(
    ('launcher', 'message'),
    [
        ('pytorch', 'RANK, WORLD_SIZE, .* are not set; .*dist_train.sh'),
        ('slurm', 'SLURM_PROCID, .* are not set; start with tools/slurm_tr'),
        ('mpi', 'OMPI_COMM_WORLD_RANK, .* are not set'),
        ('accelerate', 'takes none, pytorch, slurm, mpi'),
    ],
)
def test_a_launcher_that_did_not_launch(environment, launcher, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        launch.init_launcher(config(launcher))


def test_a_port_that_is_taken(environment):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        environment(**SLURM, MASTER_PORT=str(taken.getsockname()[1]))
        with pytest.raises(RuntimeError, match='choose another with MASTER_P'):
            launch.init_launcher(config('slurm', backend='gloo'))


def test_a_timeout_that_is_no_number(environment):
    environment(**SLURM)
    with pytest.raises(TypeError, match="timeout='soon'.*seconds"):
        launch.init_launcher(config('slurm', timeout='soon'))


class TestGPUs:
    """Which GPU a process takes, on nodes with two of them."""

    @pytest.fixture(autouse=True)
    def gpus(self, monkeypatch):
        """Two GPUs, and a group that a process of another rank joins."""
        self.chosen, self.joined = [], []
        for name, value in dict(
            is_available=lambda: True,
            device_count=lambda: 2,
            set_device=self.chosen.append,
        ).items():
            monkeypatch.setattr(torch.cuda, name, value)
        for name, value in dict(
            init_process_group=lambda backend, **_: self.joined.append(
                backend
            ),
            get_rank=lambda: 1,
        ).items():
            monkeypatch.setattr(torch.distributed, name, value)
        monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')

    def test_its_own(self, environment):
        environment(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1')
        environment(MASTER_ADDR='127.0.0.1', MASTER_PORT='29500')
        launch.init_launcher(config('pytorch'))
        assert self.chosen == [1] and self.joined == ['nccl']

    def test_too_many_processes(self, environment):
        environment(**SLURM | dict(SLURM_LOCALID='2', SLURM_GPUS_ON_NODE='2'))
        with pytest.raises(RuntimeError, match='offers 2; .*ntasks-per-node'):
            launch.init_launcher(config('slurm', backend='nccl'))
        launch.init_launcher(config('slurm', backend='gloo'))
        assert self.chosen == [0] and self.joined == ['gloo']

    def test_bound_to_it_by_slurm(self, environment):
        environment(**SLURM | dict(SLURM_LOCALID='3', SLURM_GPUS_ON_NODE='4'))
        launch.init_launcher(config('slurm', backend='nccl'))
        assert self.chosen == [1] and os.environ['LOCAL_RANK'] == '1'
