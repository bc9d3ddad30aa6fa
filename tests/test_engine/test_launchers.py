"""What Slurm and Open MPI tell a process of its run."""

from __future__ import annotations

import os

import pytest
from launching import SLURM, config, no_scontrol

from mmdistill.engine import launch, launchers


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
