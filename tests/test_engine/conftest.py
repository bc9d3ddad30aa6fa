"""Fixtures of launchers, and of runs that left checkpoints."""

import os
import shutil

import pytest
from helpers import checkpointed


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


@pytest.fixture(scope='session')
def finished(tmp_path_factory):
    """The folder of a run of two epochs; nothing may change it."""
    folder = tmp_path_factory.mktemp('finished') / 'run'
    checkpointed(folder).train()
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / 'run')
