"""What is not finite, and files that hold such numbers are refused."""

import pytest
import torch
from helpers import digits_config, tiny_classifier

from mmdistill.checkpoints import CheckpointError, load_strictly
from mmdistill.checkpoints.finite import not_finite
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS

NAN, INF = float('nan'), float('inf')


# Which tensors --------------------------------------------------------------
def test_what_is_finite_and_what_is_not():
    mask = torch.full((3, 3), -INF).triu(1)
    good = dict(
        mask=mask,
        large=torch.full((9,), 3e38),  # whose sum is infinite
        half=torch.full((9,), 6e4, dtype=torch.float16),
        whole=torch.tensor([1, 2]),
        none=torch.zeros(0),
        complex=torch.ones(2, dtype=torch.complex64),
        small=torch.ones(2).to(torch.float8_e4m3fn),
    )
    bad = dict(
        one=torch.tensor([0.0, NAN]),
        inf=torch.tensor([1.0, INF]),
        both=torch.tensor([INF, -INF]),
        bias=torch.tensor([0.0, -INF]),
        spoilt_mask=mask.nan_to_num(neginf=-INF) * 0,
        half_inf=torch.tensor([INF], dtype=torch.float16),
        small_nan=torch.tensor([NAN]).to(torch.float8_e4m3fn),
    )
    assert not_finite(good | bad) == list(bad)


# Loading --------------------------------------------------------------------
def spoilt(model, path):
    state = MODELS.build(model).state_dict()
    key = next(k for k in state if k.endswith('fc.weight'))
    state[key][0, 0] = NAN
    torch.save(dict(state_dict=state), path)
    return key


def test_a_teacher_file_with_nan_is_refused(tmp_path):
    path = tmp_path / 'teacher.pth'
    key = spoilt(tiny_classifier(depth=14), path)
    cfg = digits_config(tmp_path / 'run')
    cfg.model.teacher_ckpt = str(path)
    with pytest.raises(CheckpointError) as error:
        DistillRunner.from_cfg(cfg)
    for part in (key, str(path), 'model.teacher_ckpt'):
        assert part in str(error.value)


@pytest.mark.parametrize('how', ['load_from', 'test', 'Pretrained'])
def test_other_files_with_nan_are_refused(tmp_path, how):
    path = str(tmp_path / 'file.pth')
    cfg = digits_config(tmp_path / 'run')
    model = cfg.model.student
    key = spoilt(model, path)
    if how == 'Pretrained':
        state = torch.load(path)['state_dict']
        key = next(k for k in state if k.startswith('backbone.'))
        state[key].view(-1)[0] = INF
        torch.save(state, path)
        key = key.removeprefix('backbone.')
        model.backbone.init_cfg = dict(type='Pretrained', checkpoint=path)
    else:
        cfg.load_from = path
    runner = DistillRunner.from_cfg(cfg)
    with pytest.raises(CheckpointError) as error:
        runner.test() if how == 'test' else runner.train()
    setting = 'init_cfg.checkpoint' if how == 'Pretrained' else 'load_from'
    for part in (key, path, setting):
        assert part in str(error.value)


def test_resuming_from_a_file_with_nan_is_refused(tmp_path):
    cfg = digits_config(tmp_path / 'run')
    DistillRunner.from_cfg(cfg).train()
    path = tmp_path / 'run' / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    first = next(iter(checkpoint['optimizer']['state'].values()))
    first['momentum_buffer'].view(-1)[0] = NAN
    torch.save(checkpoint, path)
    cfg.update(resume=True, load_from=str(path), experiment_name='again')
    with pytest.raises(CheckpointError, match=r'optimizer\.state\.\d+\.mom'):
        DistillRunner.from_cfg(cfg).train()


def test_loading_a_mask_of_attention():
    model = torch.nn.Module()
    model.register_buffer('mask', torch.full((3, 3), -INF).triu(1))
    load_strictly(model, model.state_dict(), 'it', '')
