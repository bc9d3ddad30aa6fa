"""``tools/slurm_*.sh`` on a real Slurm: two nodes without GPUs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from helpers import PATIENCE

ROOT = Path(__file__).parents[2]
# A script that runs a throw-away cluster: start, run COMMAND, stop.
CLUSTER = Path(
    os.environ.get('SLURM_LOCAL', ROOT.parent / 'shared' / 'slurm_local.sh')
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CLUSTER.is_file(), reason=f'there is no {CLUSTER}; set SLURM_LOCAL'
    ),
    pytest.mark.skipif(os.getuid() != 0, reason='Slurm needs root to start'),
]
RESOURCES = dict(GPUS_PER_NODE='0', NTASKS='2', CPUS_PER_TASK='1')


@pytest.fixture(scope='module')
def cluster():
    """Environment variables with which the script finds our own cluster."""
    # Not in tmp_path: munge wants every folder above to be open to all.
    folder = f'{tempfile.gettempdir()}/mmdistill_slurm_{os.getpid()}'
    where = dict(SLURM_LOCAL_DIR=folder, SLURM_LOCAL_PORT='18817')

    def call(what):
        return subprocess.run(
            ['bash', CLUSTER, what],
            env=dict(os.environ, **where),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    started = call('start')
    try:
        if 'apt failed' in started.stdout:
            pytest.skip('Slurm is not installed, and apt cannot install it')
        assert started.returncode == 0, started.stdout
        yield where
    finally:
        call('stop')


def test_two_nodes_train_and_test(toy, cluster):
    def slurm(script, *args, **kwargs):
        return toy.run(
            *('bash', CLUSTER, 'run', toy.tools / script, 'main', 'toy'),
            *('toy.py', *args),
            **{**cluster, **RESOURCES, **kwargs},
        )

    log = slurm(
        'slurm_train.sh', 'on slurm', '--cfg-options', 'log_level=INFO'
    )
    assert '2 processes (slurm) meet at n1:' in log
    assert 'over gloo' in log
    assert 'Epoch(train) [1][3/3]' in log
    checkpoint = toy.folder / 'on slurm' / 'epoch_1.pth'
    assert 'Epoch(test) [3/3]' in slurm('slurm_test.sh', checkpoint)

    log = slurm('slurm_test.sh', 'nowhere.pth', fails=True)
    assert "error: the checkpoint 'nowhere.pth'" in log


def test_a_requeued_job_goes_on(toy, cluster):
    """A batch job with --resume, as slurm_train.sh's header shows it."""

    def run(*command):
        return toy.run(
            'bash', CLUSTER, 'run', *command, **cluster, **RESOURCES
        )

    folder = toy.folder / 'requeued'
    script = toy.tools / 'slurm_train.sh'
    options = 'train_cfg.max_epochs=100000'
    submitted = run(
        *('sbatch', '--parsable', '--requeue', '--partition=main'),
        *('--nodes=2', '--ntasks-per-node=1', '--open-mode=append'),
        f'--output={toy.folder}/job.log',
        f'--wrap={script} main toy toy.py {folder} --resume '
        f'--no-validate --cfg-options {options}',
    )
    job = submitted.split()[-1]

    def wait(condition, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not condition():
            log = toy.folder / 'job.log'
            assert time.monotonic() < end, log.exists() and log.read_text()
            time.sleep(0.5)

    try:
        wait((folder / 'last_checkpoint').is_file)
        run('scontrol', 'requeue', job)
        wait(lambda: 'resumed epoch: ' in (toy.folder / 'job.log').read_text())
    finally:
        run('scancel', job)
