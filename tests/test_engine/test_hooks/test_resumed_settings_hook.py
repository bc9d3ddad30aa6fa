"""A resumed run says which settings are in force."""

import pytest
import torch
from helpers import digits_config
from mmengine.config import Config

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS


@pytest.fixture(scope='module')
def stopped(tmp_path_factory):
    """A run of one epoch with a schedule."""
    folder = tmp_path_factory.mktemp('stopped')
    teacher = MODELS.build(digits_config(folder).model.teacher)
    torch.save(teacher.state_dict(), folder / 'teacher.pth')
    options = {'train_cfg.max_epochs': 1}
    DistillRunner.from_cfg(config(folder, folder, **options)).train()
    return folder


def config(stopped, folder, **kwargs):
    cfg = digits_config(folder)
    cfg.model.teacher_ckpt = str(stopped / 'teacher.pth')
    cfg.param_scheduler = [dict(type='MultiStepLR', milestones=[9], gamma=0.1)]
    cfg.merge_from_dict(kwargs)
    return cfg


def resume(stopped, folder, **kwargs):
    """The runner after it, and what it logged of settings."""
    cfg = config(stopped, folder, resume=True, **kwargs)
    cfg.load_from = str(stopped / 'epoch_1.pth')
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    logs = ''.join(path.read_text() for path in folder.rglob('*.log'))
    return runner, logs


def row(logs, key):
    return next(x for x in logs.splitlines() if x.startswith(key)).split()[1:]


def test_a_resume_says_what_is_in_force(stopped, tmp_path):
    runner, logs = resume(
        stopped,
        tmp_path,
        **{
            'optim_wrapper.optimizer.lr': 0.5,
            'param_scheduler.0.gamma': 0.2,
            'model.losses.kd.temperature': 2.0,
            'randomness.seed': 7,
        },
    )
    (group,) = runner.optim_wrapper.param_groups
    assert row(logs, 'optim_wrapper.optimizer.lr') == [
        '0.05', '0.5', '0.05', '(kept)']  # fmt: skip
    assert group['lr'] == 0.05
    assert row(logs, 'param_scheduler.0.gamma')[2:] == ['0.1', '(kept)']
    assert runner.param_schedulers[0].gamma == 0.1
    assert row(logs, 'randomness.seed')[2:] == ['0', '(kept)']
    assert runner.seed == 0
    assert row(logs, 'model.losses.kd.temperature')[-1] == '2.0'
    assert runner.model.losses['kd'].temperature == 2.0
    assert row(logs, 'train_cfg.max_epochs') == ['1', '2', '2']


def test_the_same_settings_need_no_word(stopped, tmp_path):
    _, logs = resume(stopped, tmp_path, **{'train_cfg.max_epochs': 1})
    assert 'other settings' not in logs


@pytest.mark.parametrize(
    'key, kind', [('optim_wrapper.optimizer', dict(type='Adam', lr=0.1)),
                  ('param_scheduler.0', dict(type='ExponentialLR', gamma=1))],
)  # fmt: skip
def test_a_state_of_another_type_is_refused(stopped, tmp_path, key, kind):
    cfg = config(stopped, tmp_path, resume=True)
    if key == 'param_scheduler.0':
        cfg.param_scheduler = [kind]
    else:
        cfg.optim_wrapper = dict(optimizer=kind)
    cfg.load_from = str(stopped / 'epoch_1.pth')
    with pytest.raises(ValueError, match=f'{key}.type was .* load_from'):
        DistillRunner.from_cfg(cfg).train()


def test_the_stored_config_is_data(stopped, tmp_path):
    """Code in it is not executed; the run goes on and says so."""
    checkpoint = torch.load(stopped / 'epoch_1.pth', weights_only=False)
    victim = tmp_path / 'executed'
    checkpoint['meta']['cfg'] = f'open({str(victim)!r}, "w")'
    path = tmp_path / 'epoch_1.pth'
    torch.save(checkpoint, path)
    cfg = config(stopped, tmp_path, resume=True, load_from=str(path))
    assert isinstance(cfg, Config)
    DistillRunner.from_cfg(cfg).train()
    assert not victim.exists()
    logs = ''.join(p.read_text() for p in tmp_path.rglob('*.log'))
    assert 'cannot be compared' in logs
