"""The timing scripts, on sizes that take no time."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / 'benchmarks'
BATCH = ('--batch-size', '4', '--threads', '1')
BANKS = (
    *BATCH, '--negatives', '300', '--samples', '500', '--classes', '5',
    '--dim', '8', '--feature-dim', '16',
)  # fmt: skip
ONCE = ('--repeats', '1')
# What is given, and what must be in the table.
SCRIPTS = dict(
    benchmark_nst=(BATCH + ONCE, 'published / ours'),
    benchmark_protocpc=(
        BATCH + ONCE + ('--prototypes', '64'), '8 crops of (4, 64)',
    ),
    benchmark_branches=(
        BATCH + ONCE + (
            '--samples', '500', 'mcl_okd/mcl_okd_branch_resnet32_cifar100.py',
        ),
        'ratio',
    ),
    benchmark_step=(
        BATCH + ONCE + (
            '--samples', '500', '--methods', 'kd', 'ab', 'cocord', 'crd',
        ),
        'crd  ',
    ),
    benchmark_data=(
        ONCE + (
            '--images', '500', '--seconds', '0.1', '--workers', '0',
            '--threads', '1',
        ),
        'images per second',
    ),
)  # fmt: skip


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Imports a script as if it had been called with options."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)

    def load(name, options):
        monkeypatch.setattr(sys, 'argv', [name, *options])
        return importlib.import_module(name)

    threads = torch.get_num_threads()
    yield load
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize('name', SCRIPTS)
def test_prints_its_table(name, script, capsys):
    options, expected = SCRIPTS[name]
    script(name, options).main()
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    'name, options',
    [
        ('benchmark_crd', ()),
        ('benchmark_crd', ('--loss', 'GCKTLoss')),
        ('benchmark_mcl', ('--peers', '3')),
    ],
)
def test_both_ways_compute_one_loss(name, options, script):
    """They differ in the negatives that they draw, which are many here."""
    module = script(name, BANKS + options)
    steps = module.make_steps(module.parse_args())
    values = [float(step().detach()) for step in steps.values()]
    assert values[0] == pytest.approx(values[1], rel=0.02)
