"""One training at a time in a work folder."""

import json
import os
import socket
import subprocess
import sys

import pytest
from helpers import digits_config, run_distributed

from mmdistill.engine import lock
from mmdistill.engine.lock import LOCK, FolderInUse, sole_run
from mmdistill.engine.runner import DistillRunner

HOLD = (
    'import sys, time; from mmdistill.engine.lock import sole_run\n'
    'with sole_run(sys.argv[1]):\n'
    "    print('held', flush=True); time.sleep(600)"
)


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``tmp_path`` as a training does."""
    with subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == 'held\n'
        yield process
        process.kill()


def test_the_second_of_two_runs_is_told_where_the_first_is(holder, tmp_path):
    before = (tmp_path / LOCK).read_bytes()
    runner = DistillRunner.from_cfg(digits_config(tmp_path))
    with pytest.raises(FolderInUse) as error:
        runner.train()
    for part in (
        socket.gethostname(),
        f'process {holder.pid} ',
        str(tmp_path),
        '--work-dir',
    ):
        assert part in str(error.value)
    assert not list(tmp_path.glob('*.pth'))
    assert (tmp_path / LOCK).read_bytes() == before


def test_testing_is_no_second_run(holder, tmp_path):
    assert DistillRunner.from_cfg(digits_config(tmp_path)).test()


def test_the_lock_of_a_killed_run_is_taken_over(holder, tmp_path, warned):
    holder.kill()  # it is not waited for: what is left still has a number
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with sole_run(tmp_path), sole_run(tmp_path):
        written = json.loads((tmp_path / LOCK).read_text())
        assert written['pid'] == os.getpid()
    assert f'process {holder.pid}' in warned()
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_gives_the_folder_back(tmp_path):
    with pytest.raises(KeyError), sole_run(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


def leave(folder, **changes):
    """The lock of a run like this process's, with other words in it."""
    with sole_run(folder):
        written = json.loads((folder / LOCK).read_text())
    (folder / LOCK).write_text(json.dumps({**written, **changes}))


@pytest.mark.parametrize(
    'changes',
    [
        dict(host='elsewhere'),
        dict(host='elsewhere', job='c/7', restart=1),
        dict(host='elsewhere', job='c/8', restart=0),
        dict(pids='pid:[another container]'),
    ],
)
def test_what_nobody_here_can_know_is_for_the_user_to_say(
    tmp_path, changes, monkeypatch
):
    """Also another job, and another part of this start of a Slurm job."""
    monkeypatch.setenv('SLURM_CLUSTER_NAME', 'c')
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    leave(tmp_path, **changes)
    with pytest.raises(FolderInUse, match=f'delete .*{LOCK}'):
        with sole_run(tmp_path):
            pass


@pytest.mark.parametrize(
    'changes',
    [
        dict(host='elsewhere', job='c/7', restart=0),
        dict(started='1'),
        dict(boot='before'),
    ],
)
def test_a_run_that_is_over_is_known(tmp_path, changes, monkeypatch, warned):
    """A requeued job, a number used again, a host started again."""
    monkeypatch.setenv('SLURM_CLUSTER_NAME', 'c')
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
    leave(tmp_path, **changes)
    with sole_run(tmp_path):
        assert 'taken over' in warned()


@pytest.mark.parametrize('content', ['', '[1]', '{"pid": "x"}', '\0'])
def test_a_damaged_lock_keeps_nobody_out(tmp_path, content, monkeypatch):
    monkeypatch.setattr(lock, '_PATIENCE', 0)
    (tmp_path / LOCK).write_text(content)
    with sole_run(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())['pid'] == os.getpid()


def together(rank, world, folder):
    try:
        with sole_run(folder):
            return 'ran'
    except FolderInUse as error:
        return str(error)


def test_the_processes_of_a_run_are_one_run(tmp_path):
    assert run_distributed(together, 2, str(tmp_path)) == ['ran', 'ran']
    leave(tmp_path)
    for said in run_distributed(together, 2, str(tmp_path)):
        assert 'is training in the work folder' in said
