"""How the processes of a run find each other."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.nn.parallel import DistributedDataParallel

from mmdistill.engine import launch, launchers

CPU = not torch.cuda.is_available()
SLURM = dict(
    SLURM_PROCID='0',
    SLURM_NTASKS='1',
    SLURM_LOCALID='0',
    SLURM_NODELIST='localhost',
    SLURM_JOB_ID='7',
    SLURM_STEP_ID='0',
)


@pytest.fixture
def environment(monkeypatch):
    """The process without what any launcher may have set, and with `set`."""
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_', 'PMIX_', 'MASTER_')) or (
            name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'ENVIRONMENT')
        ):
            monkeypatch.delenv(name)
    # monkeypatch takes back only what it knows of
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('MASTER_ADDR', '')
    monkeypatch.delenv('MASTER_ADDR')

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def config(launcher, **dist_cfg):
    return Config(dict(launcher=launcher, env_cfg=dict(dist_cfg=dist_cfg)))


def no_scontrol(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))


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


def test_a_batch_script_without_srun(environment):
    environment(**SLURM, ENVIRONMENT='BATCH')
    del os.environ['SLURM_STEP_ID']
    with pytest.raises(RuntimeError, match='batch script, without srun'):
        launch.init_launcher(config('slurm'))


def test_a_node_list_without_scontrol(environment, monkeypatch, tmp_path):
    environment(**{**SLURM, 'SLURM_NODELIST': 'gpu[01-02]'})
    no_scontrol(monkeypatch, tmp_path)
    with pytest.raises(RuntimeError, match=r'gpu\[01-02\].* set MASTER_ADDR'):
        launch.init_launcher(config('slurm'))


def test_scontrol_that_fails_is_not_believed(
    environment, monkeypatch, tmp_path
):
    environment(**{**SLURM, 'SLURM_NODELIST': 'gpu[01-02]'})
    (tmp_path / 'scontrol').write_text('#!/bin/sh\necho lost >&2\nexit 1\n')
    (tmp_path / 'scontrol').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(RuntimeError, match=r'\(lost\); set MASTER_ADDR'):
        launch.init_launcher(config('slurm'))
    (tmp_path / 'scontrol').write_text('#!/bin/sh\necho gpu01\necho gpu02\n')
    with pytest.raises(RuntimeError, match="'gpu01', does not resolve"):
        launch.init_launcher(config('slurm'))


def test_a_port_that_is_taken(environment):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        environment(**SLURM, MASTER_PORT=str(taken.getsockname()[1]))
        with pytest.raises(RuntimeError, match='choose another with MASTER_P'):
            launch.init_launcher(config('slurm', backend='gloo'))


def test_a_timeout_that_is_no_number(environment):
    environment(**SLURM)
    with pytest.raises(TypeError, match="timeout='soon'.*seconds"):
        launch.init_launcher(config('slurm', timeout='soon'))


def test_jobs_of_one_host_get_ports_of_their_own(environment):
    ports = set()
    for job in range(1000, 1100):
        for step in range(3):
            os.environ.pop('MASTER_PORT', None)
            launchers.set_port(None, job, step)
            ports.add(int(os.environ['MASTER_PORT']))
    assert len(ports) == 300
    assert 10000 < min(ports) and max(ports) < 32768
    launchers.set_port(None, 1)
    assert int(os.environ['MASTER_PORT']) in ports, 'MASTER_PORT is kept'


class TestGPUs:
    """Which GPU a process takes, on nodes with two of them."""

    @pytest.fixture(autouse=True)
    def gpus(self, monkeypatch):
        self.chosen = []
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
        monkeypatch.setattr(torch.cuda, 'set_device', self.chosen.append)

    def test_its_own(self, environment):
        environment(LOCAL_RANK='1')
        launch._select_gpu('pytorch', 'nccl')
        assert self.chosen == [1]

    def test_too_many_processes(self, environment):
        environment(LOCAL_RANK='2', SLURM_GPUS_ON_NODE='2')
        with pytest.raises(RuntimeError, match='offers 2; .*ntasks-per-node'):
            launch._select_gpu('slurm', 'nccl')
        launch._select_gpu('slurm', 'gloo')
        assert self.chosen == [0]

    def test_bound_to_it_by_slurm(self, environment):
        environment(LOCAL_RANK='3', SLURM_GPUS_ON_NODE='4')
        launch._select_gpu('slurm', 'nccl')
        assert self.chosen == [1] and os.environ['LOCAL_RANK'] == '1'


# Two processes --------------------------------------------------------------
@pytest.fixture
def left(toy):
    """The toy config, whose runs show their threads when they exit."""
    (toy.folder / 'show_threads.py').write_text(
        'import atexit, pathlib\n'
        'def show():\n'
        '    names = pathlib.Path("/proc/self/task").glob("*/comm")\n'
        '    names = " ".join(name.read_text().strip() for name in names)\n'
        '    print(f"\\nthreads: {names}\\n", end="", flush=True)\n'
        'atexit.register(show)\n'
    )
    (toy.folder / 'left.py').write_text(
        '_base_ = "toy.py"\n'
        'custom_imports = dict(imports=["toy_plugin", "show_threads"])\n'
    )
    return 'left.py'


def assert_none_left(log):
    threads = re.findall('^threads: (.*)', log, re.MULTILINE)
    assert len(threads) == 2, 'both processes ended as they should'
    assert not any('gloo' in names for names in threads)


@pytest.mark.slow
def test_two_processes_train_and_test(toy, left):
    log = toy.run(
        toy.tools / 'dist_train.sh',
        left,
        2,
        '--work-dir',
        'two processes',
    )
    assert_none_left(log)
    assert '2 processes (pytorch) meet at 127.0.0.1:' in log
    assert 'Epoch(train) [1][3/3]' in log, 'each has half of the 6 batches'
    checkpoint = toy.folder / 'two processes' / 'epoch_1.pth'
    log = toy.run(
        toy.tools / 'dist_test.sh',
        left,
        checkpoint,
        2,
        '--cfg-options',
        'env_cfg.dist_cfg.backend=nccl' if CPU else 'launcher=pytorch',
    )
    assert_none_left(log)
    assert 'Epoch(test) [3/3]' in log
    assert not CPU or 'over gloo: nccl needs a GPU' in log

    one = toy.test('toy.py', checkpoint)
    assert re.findall('accuracy.*', one)[-1][:24] in log


@pytest.mark.slow
def test_processes_keep_equal_weights(toy):
    """Gradients are averaged: what DDP would lose without its wrapper."""
    script = toy.folder / 'equal.py'
    script.write_text(
        'import torch, torch.distributed as dist\n'
        'from mmengine.config import Config\n'
        'from mmdistill.engine.cli import build_runner\n'
        'from mmdistill.engine.launch import launched\n'
        'cfg = Config.fromfile("toy.py")\n'
        'cfg.update(launcher="pytorch", work_dir="equal")\n'
        # A function: what holds the process group must be gone at its end.
        'def main():\n'
        '    model = build_runner(cfg).train()\n'
        '    assert type(model).__name__ == "MMDistributedDataParallel"\n'
        '    flat = torch.cat([p.flatten() for p in model.parameters()])\n'
        '    others = [torch.empty_like(flat) for _ in range(2)]\n'
        '    dist.all_gather(others, flat.detach())\n'
        '    assert torch.equal(*others)\n'
        'with launched(cfg):\n'
        '    main()\n'
    )
    toy.run(
        sys.executable,
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--local-addr=127.0.0.1',
        '--nproc-per-node=2',
        script,
    )


@pytest.mark.slow
def test_an_error_is_what_torchrun_shows_last(toy):
    log = toy.run(toy.tools / 'dist_train.sh', 'nowhere.py', 2, fails=True)
    assert "the config 'nowhere.py' is not a file" in log[-600:]


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train'])
def test_scripts_say_how_they_are_called(toy, script):
    log = toy.run(toy.tools / f'{script}.sh', 'toy.py', fails=True)
    assert f'tools/{script}.sh ' in log


def test_several_machines_need_an_address(toy):
    log = toy.run(
        toy.tools / 'dist_train.sh', 'toy.py', 2, fails=True, NNODES='2'
    )
    assert 'set MASTER_ADDR' in log
