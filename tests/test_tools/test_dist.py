"""Two processes that the scripts start."""

from __future__ import annotations

import re
import sys

import pytest
import torch

CPU = not torch.cuda.is_available()


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
        'from mmdistill.engine.run_config import build_runner\n'
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
