"""A comparison never shows the number of other settings."""

import json
import time

import pytest

OPTIONS = ['--cfg-options', 'train_cfg.max_epochs=1']
EXPORT = "custom_hooks = [dict(type='ExportStudentHook')]\n"


@pytest.fixture
def trained(main, toy, tmp_path, monkeypatch, capsys):
    """Compares toy configs; ``_runs.train`` runs here, not in a process."""
    (tmp_path / 'base.py').write_text(toy.config.read_text() + EXPORT)
    for name in ('one', 'two'):
        (tmp_path / f'{name}.py').write_text("_base_ = './base.py'\n")
    import _runs

    runs = []

    def train(config, folder, options):
        """In this process, which has torch already.

        MMEngine names an experiment by the second, and runs of one name share
        their visualizer.
        """
        runs.append((config.stem, folder.name))
        main('train', config, '--work-dir', folder, '--cfg-options',
             'log_level=ERROR', f'experiment_name=run{time.time_ns()}',
             *options)  # fmt: skip

    monkeypatch.setattr(_runs, 'train', train)

    def compare(*options, names=('one',)):
        runs.clear()
        configs = [tmp_path / f'{name}.py' for name in names]
        main('compare', *configs, '--seeds', '0', '--work-dir',
             tmp_path / 'runs', *options)  # fmt: skip
        return capsys.readouterr().out, list(runs)

    compare.folder = tmp_path
    return compare


def test_changed_settings_stop_it(trained):
    said, runs = trained(*OPTIONS)
    assert runs == [('one', 'seed0')]
    assert 'nan' not in said and '±' not in said  # one seed, no deviation
    again, runs = trained(*OPTIONS)
    # but for the lines that say when the run begins and how long it took
    assert not runs and again.splitlines()[1:] == said.splitlines()[3:]
    assert said.startswith('run 1 of 1: one, seed 0 …\nrun 1 of 1: one, ')

    base = trained.folder / 'base.py'
    text = base.read_text()
    base.write_text(text.replace('lr=0.05', 'lr=0.01'))
    key = 'optim_wrapper.optimizer.lr: 0.05 → 0.01'
    with pytest.raises(SystemExit, match=f'{key}.*(?s:.)*--rerun'):
        trained(*OPTIONS, names=('two', 'one'))
    assert not (trained.folder / 'runs' / 'two').exists()
    with pytest.raises(SystemExit, match='max_epochs: 1 → 2'):
        trained('--cfg-options', 'train_cfg.max_epochs=2')
    base.write_text(text + "extra = dict(data_root='elsewhere')\n")
    with pytest.raises(SystemExit, match="data_root: '.not set.' → 'elsew"):
        trained(*OPTIONS)
    _, runs = trained('--rerun', *OPTIONS)
    assert runs == [('one', 'seed0')]
    kept = [p.name for p in (trained.folder / 'runs' / 'one').iterdir()]
    assert len(kept) == 2  # the old run is still there
    assert not trained(*OPTIONS)[1]


def test_a_changed_file_stops_it(trained):
    """A teacher, say: what a setting names is part of the settings."""
    weights = trained.folder / 'weights.pth'
    weights.write_bytes(b'one')
    options = [*OPTIONS, f'somewhere={weights}']
    trained(*options)
    weights.write_bytes(b'two')
    with pytest.raises(SystemExit, match='sha256 of.somewhere'):
        trained(*options)


def test_an_unfinished_run_is_no_result(trained):
    trained(*OPTIONS)
    record = trained.folder / 'runs' / 'one' / 'seed0' / 'comparison.json'
    stored = json.loads(record.read_text())
    record.write_text(json.dumps(dict(stored, finished=False)))
    assert trained(*OPTIONS)[1] == [('one', 'seed0')]
    record.unlink()
    with pytest.raises(SystemExit, match='not trained by this comparison'):
        trained(*OPTIONS)


def test_every_config_is_checked_first(trained):
    with pytest.raises(
        SystemExit, match='nothing was trained\nerror: .*nowhere.py'
    ):
        trained(*OPTIONS, names=('one', 'nowhere'))
    wrong = trained.folder / 'two.py'
    wrong.write_text("_base_ = './base.py'\ntrain_dataloder = dict()\n")
    with pytest.raises(SystemExit, match="did you mean 'train_dataloader'"):
        trained(*OPTIONS, names=('one', 'two'))
    with pytest.raises(SystemExit, match='name the seeds with --seeds'):
        trained(*OPTIONS, 'randomness.seed=5')
    assert not (trained.folder / 'runs').exists()
