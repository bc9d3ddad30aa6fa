"""What `DistillRunner` does beyond MMEngine's runner."""

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from helpers import digits_config
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmdistill.engine.run_config import build_runner
from mmdistill.engine.runner import DistillRunner


@HOOKS.register_module()
class DoorsHook(Hook):
    """Notes with which loader MMEngine reads files while a run works."""

    seen: set = set()

    def note(self, runner, *args, **kwargs):
        self.seen.add(mmengine_checkpoint._safe_torch_load.__module__)

    before_run = before_train_iter = before_val_iter = after_test = note


def test_mmengines_doors_are_closed_while_it_works_and_no_longer(tmp_path):
    cfg = digits_config(tmp_path, custom_hooks=[dict(type='DoorsHook')])
    DoorsHook.seen.clear()
    before = mmengine_checkpoint._safe_torch_load
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    runner.val()
    assert DoorsHook.seen == {'mmdistill.checkpoints.policy'}
    assert mmengine_checkpoint._safe_torch_load is before


def test_a_config_in_the_work_folder_stays_as_it_was_written(tmp_path):
    """Else a run would replace it by all that it inherits."""
    written = tmp_path / 'mine.py'
    digits_config(tmp_path).dump(written)
    text = '# with words of its own\n' + written.read_text()
    written.write_text(text)
    DistillRunner.from_cfg(Config.fromfile(written)).train()
    assert written.read_text() == text
    assert len(list(tmp_path.glob('*/mine.py'))) == 1
    cfg = Config.fromfile(written)
    cfg.work_dir = str(tmp_path / 'elsewhere')
    DistillRunner.from_cfg(cfg).train()
    assert (tmp_path / 'elsewhere' / 'mine.py').read_text() != text


def test_doors_are_open_again_after_an_error(tmp_path):
    before = mmengine_checkpoint._safe_torch_load
    cfg = digits_config(tmp_path)
    cfg.train_dataloader.batch_size = 0
    with pytest.raises(ValueError):
        DistillRunner.from_cfg(cfg).train()
    assert mmengine_checkpoint._safe_torch_load is before


def test_the_tools_take_it_unless_told_otherwise(tmp_path):
    cfg = digits_config(tmp_path)
    assert type(build_runner(cfg)) is DistillRunner
    cfg.runner_type = 'DistilRunner'
    with pytest.raises(KeyError, match="'DistillRunner'"):
        build_runner(cfg)


def test_bare_weights_can_be_loaded(tmp_path):
    """MMEngine takes a file of weights alone, and so does this runner."""
    cfg = digits_config(tmp_path / 'a')
    runner = DistillRunner.from_cfg(cfg)
    weights = {k: v.clone() for k, v in runner.model.state_dict().items()}
    torch.save(weights, tmp_path / 'weights.pth')
    other = DistillRunner.from_cfg(digits_config(tmp_path / 'b'))
    for value in other.model.parameters():
        value.data.zero_()
    other.load_checkpoint(str(tmp_path / 'weights.pth'))
    assert all(
        torch.equal(v, weights[k]) for k, v in other.model.state_dict().items()
    )


def test_renamed_weights_keep_their_layer_versions(tmp_path, monkeypatch):
    """Layers go by them: batch norms of version 1 count no batches."""
    runner = DistillRunner.from_cfg(digits_config(tmp_path / 'a'))
    state = runner.model.state_dict()
    renamed = type(state)(
        (f'old.{key}', value.clone()) for key, value in state.items()
    )
    renamed._metadata = state._metadata
    torch.save(dict(state_dict=renamed), tmp_path / 'weights.pth')
    loaded = {}
    monkeypatch.setattr(
        'mmdistill.engine.runner.load_state_dict',
        lambda model, state, *_: loaded.update(
            state=state, versions=getattr(state, '_metadata', None)
        ),
    )
    runner.load_checkpoint(
        str(tmp_path / 'weights.pth'), revise_keys=[(r'^old\.', '')]
    )
    assert list(loaded['state']) == list(state)
    assert loaded['versions'] == state._metadata
