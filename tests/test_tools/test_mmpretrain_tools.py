"""MMPretrain's own tools work on our logs and configs."""

import sys
from pathlib import Path

import mmpretrain
import pytest
from helpers import digits_config

from mmdistill.engine.runner import DistillRunner

THEIRS = Path(mmpretrain.__file__).parent / '.mim' / 'tools'
CONFIGS = Path(__file__).parents[2] / 'configs'
PLOT = dict(MPLBACKEND='Agg')


@pytest.fixture(scope='module')
def log(tmp_path_factory):
    """The log of a distillation whose teacher was tested first."""
    folder = tmp_path_factory.mktemp('distilled')
    hooks = dict(teacher_check=dict(type='TeacherCheckHook'))
    DistillRunner.from_cfg(digits_config(folder, default_hooks=hooks)).train()
    (path,) = folder.glob('*/vis_data/scalars.json')
    return path


@pytest.mark.slow
def test_analyze_logs(toy, log):
    tool = THEIRS / 'analysis_tools' / 'analyze_logs.py'
    keys = 'loss', 'kd', 'accuracy/top1', 'teacher/accuracy/top1'
    more = '--keys', *keys, '--out', 'curves.png'
    toy.run(sys.executable, tool, 'plot_curve', log, *more, **PLOT)
    assert (toy.folder / 'curves.png').stat().st_size
    said = toy.run(sys.executable, tool, 'cal_train_time', log, **PLOT)
    assert 'average iter time' in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'options'),
    [
        ('quickstart/kd_digits.py', ()),
        ('cocord/cocord_resnet32x4_resnet8x4_cifar100.py', (2,)),
    ],
)
def test_vis_scheduler(toy, config, options):
    tool = THEIRS / 'visualization' / 'vis_scheduler.py'
    short = [f'train_cfg.max_epochs={n}' for n in options]
    toy.run(
        *(sys.executable, tool, CONFIGS / config, '-d', 50000),
        *('--not-show', '-s', 'schedule.png'),
        *('--cfg-options', 'work_dir=schedules', *short),
        **PLOT,
    )
    assert (toy.folder / 'schedule.png').stat().st_size


@pytest.mark.slow
def test_browse_dataset(toy):
    """It asks MMPretrain's scope for a dataset that is ours."""
    tool = THEIRS / 'visualization' / 'browse_dataset.py'
    config = CONFIGS / 'quickstart' / 'kd_digits.py'
    more = '--not-show', '-n', 2, '-o', 'browsed', '--mode', 'original'
    toy.run(sys.executable, tool, config, *more, **PLOT)
    assert len([*(toy.folder / 'browsed').iterdir()]) == 2
