"""MMEngine's own doors open for data alone."""

from __future__ import annotations

import copy
import functools
import threading
import zipfile
from collections import OrderedDict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from exploits import code, via_getattr
from helpers import distiller, tiny_classifier, tiny_encoder
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from mmdistill.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_file,
    loading_policy,
)
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.distillers.teacher_file import load_teacher
from mmdistill.registry import MODELS


# ---------------------------------------------------------------- a real run
class Points(Dataset):
    metainfo = dict(classes=('a', 'b'), mean=np.array([0.5]))

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.full((3,), float(index)))


class TinyModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    def forward(self, inputs, mode='tensor'):
        out = self.layer(torch.stack(inputs))
        return dict(loss=out.square().mean()) if mode == 'loss' else list(out)


class Epochs(BaseMetric):
    """A metric that gets better every epoch; a numpy number."""

    score = 0

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        Epochs.score += 1
        return dict(score=np.float64(Epochs.score))


def make_runner(work_dir, epochs, **kwargs):
    batches = dict(
        dataset=Points(), batch_size=2, sampler=dict(type='DefaultSampler')
    )
    return DistillRunner(
        model=TinyModel(),
        work_dir=str(work_dir),
        experiment_name=f'{work_dir}-{epochs}-{kwargs}',
        train_dataloader=batches,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        val_dataloader=batches,
        val_cfg={},
        val_evaluator=dict(type=Epochs, prefix=''),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=4),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(
                type='CheckpointHook',
                save_best='score',
                rule='greater',
                max_keep_ckpts=2,
            ),
        ),
        custom_hooks=[dict(type='EMAHook')],
        log_level='WARNING',
        **kwargs,
    )


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    make_runner(folder, 2).train()
    return folder


@pytest.fixture
def resume_file(run_dir, tmp_path):
    """A copy of a real checkpoint, to be changed by a test."""
    path = tmp_path / 'epoch_2.pth'
    path.write_bytes((run_dir / 'epoch_2.pth').read_bytes())
    return path


def test_the_run_wrote_what_makes_allowing_hard(run_dir):
    """The names that force us to have a list are in a real resume file."""
    with zipfile.ZipFile(run_dir / 'epoch_2.pth') as archive:
        data = archive.read('archive/data.pkl')
    assert b'__builtin__\ngetattr' in data
    assert b'\nHistoryBuffer' in data
    assert b'.multiarray\n_reconstruct' in data
    assert b'.multiarray\nscalar' in data


def test_resume_file_loads_unchanged(run_dir):
    path = run_dir / 'epoch_2.pth'
    ours = load_file(path)
    theirs = torch.load(path, weights_only=False)

    for name, history in theirs['message_hub']['log_scalars'].items():
        loaded = ours['message_hub']['log_scalars'][name]
        assert type(loaded) is HistoryBuffer
        assert loaded.max_length == history.max_length
        for got, expected in zip(loaded.data, history.data, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)
        assert loaded.statistics('mean') == history.mean()
    info = ours['message_hub']['runtime_info']
    assert info == theirs['message_hub']['runtime_info']
    assert type(info['best_score']) is np.float64
    assert ours['meta'] == theirs['meta']
    assert ours['param_schedulers'] == theirs['param_schedulers']
    torch.testing.assert_close(
        ours['ema_state_dict'], theirs['ema_state_dict'], rtol=0, atol=0
    )


def test_runner_resumes_and_finds_its_best_checkpoint(run_dir, resume_file):
    runner = make_runner(
        resume_file.parent, 3, load_from=str(resume_file), resume=True
    )
    runner.train()
    assert runner.epoch == 3
    history = runner.message_hub.log_scalars['train/loss']
    assert len(history.data[0]) == 3 * 2  # 2 iterations an epoch
    state = load_file(resume_file.parent / 'epoch_3.pth')
    assert state['optimizer']['state'][0]['step'] == 6

    # mmengine removes the best checkpoint of before only if it knows it
    path = str(run_dir / 'epoch_2.pth')
    loaded = load_checkpoint(path)
    info = loaded['message_hub']['runtime_info']
    assert info['best_ckpt'] == str(run_dir / 'best_score_epoch_2.pth')
    assert info == load_file(path)['message_hub']['runtime_info']


# ------------------------------------------------------- mmengine's own doors
def test_runner_refuses_what_we_refuse(tmp_path, sentinel):
    path = str(tmp_path / 'x.pth')
    torch.save(dict(state_dict={}, meta=via_getattr(sentinel)), path)
    for resume in (False, True):
        runner = make_runner(tmp_path, 1, load_from=path, resume=resume)
        with pytest.raises(CheckpointError, match='is refused'):
            runner.train()

    runner = make_runner(tmp_path, 1)
    runner.model.init_cfg = dict(type='Pretrained', checkpoint=path)
    with pytest.raises(CheckpointError, match='is refused'):
        runner.train()
    # A teacher is loaded before there is a runner.
    with pytest.raises(CheckpointError, match='is refused'):
        load_teacher(runner.model, None)
    with pytest.raises(CheckpointError, match='is refused'):
        load_teacher(runner.model, path)


def test_resume_executes_no_config(resume_file, sentinel):
    """``Runner.resume`` would execute the text under ``meta['config']``."""
    state = load_file(resume_file)
    state['meta']['config'] = code(sentinel)
    # a file can put methods of its own on its dicts
    state['meta'] = OrderedDict(state['meta'])
    state['meta'].pop = state['meta'].get = OrderedDict
    torch.save(state, resume_file)
    assert load_file(resume_file)['meta'].pop is OrderedDict

    runner = make_runner(
        resume_file.parent, 3, load_from=str(resume_file), resume=True
    )
    runner.train()
    assert runner.epoch == 3


def test_resume_deletes_nothing_elsewhere(resume_file, tmp_path):
    """``CheckpointHook`` would delete the old best checkpoint, or folder."""
    victim = tmp_path / 'victim'
    victim.mkdir()
    (victim / 'best_of.pth').write_text('mine')
    for path in (victim, victim / 'best_of.pth', tmp_path / 'x' / '..'):
        state = load_file(resume_file)
        info = state['message_hub']['runtime_info']
        info.update(best_ckpt=str(path), best_score=-1.0)
        info.update(keep_ckpt_ids=['../victim', 1, 2])
        torch.save(state, resume_file)
        loaded = load_checkpoint(str(resume_file))
        loaded = loaded['message_hub']['runtime_info']
        assert not {'best_ckpt', 'keep_ckpt_ids'} & set(loaded)
        assert loaded['best_score'] == -1
    make_runner(
        tmp_path / 'work', 3, load_from=str(resume_file), resume=True
    ).train()
    assert (victim / 'best_of.pth').read_text() == 'mine'


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves tmp_path/www; downloads go to tmp_path/home."""
    www = tmp_path / 'www'
    www.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(www))
    http = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    yield www, f'http://127.0.0.1:{http.server_address[1]}'
    http.shutdown()
    http.server_close()


def test_http_goes_the_same_way(server, tmp_path, sentinel):
    www, url = server
    torch.save(dict(state_dict=dict(a=torch.ones(2))), www / 'good.pth')
    torch.save(dict(state_dict=via_getattr(sentinel)), www / 'bad.pth')
    for _ in range(2):
        loaded = load_checkpoint(f'{url}/good.pth')
        assert loaded['state_dict']['a'].tolist() == [1, 1]
        (www / 'good.pth').unlink(missing_ok=True)  # from the cache now
    assert (tmp_path / 'home/hub/checkpoints/good.pth').exists()
    with pytest.raises(CheckpointError, match='is refused'):
        load_checkpoint(f'{url}/bad.pth')


def doors():
    return (
        mmengine_checkpoint._safe_torch_load,
        mmengine_checkpoint.load_url,
        LocalBackend.put,
    )


def test_behind_the_policy_mmengine_is_as_it_was():
    before = doors()
    with loading_policy():
        inside = doors()
        with pytest.raises(OSError), loading_policy():
            assert doors() == inside
            raise OSError
        assert doors() == inside
    assert not {*before} & {*inside}
    assert doors() == before


def test_other_mmengine_is_an_error(monkeypatch):
    monkeypatch.delattr(mmengine_checkpoint, '_safe_torch_load')
    with pytest.raises(ImportError, match='onedl-mmengine'):
        with loading_policy():
            pass


@pytest.mark.parametrize(
    'model',
    [
        distiller(
            'OfflineDistiller',
            teacher=tiny_classifier(),
            losses=dict(kd=dict(type='KDLoss')),
        ),
        tiny_encoder(),
        {**tiny_classifier(), 'type': 'TransferClassifier'},
        dict(
            type='FCN',
            num_classes=2,
            backbone=dict(type='ResNet', depth=18, num_stages=4),
        ),
    ],
    ids=lambda model: model['type'],
)
def test_weights_of_a_model_without_a_runner(model, tmp_path, sentinel):
    # As MMEngine's initialization reads them, which ours replaces by name in
    # our scope alone.
    path = str(tmp_path / 'x.pth')
    torch.save(dict(state_dict={}, meta=via_getattr(sentinel)), path)
    model = MODELS.build(copy.deepcopy(model))
    network = getattr(model, 'student', model)
    network.backbone.init_cfg = dict(
        type='mmengine.Pretrained', checkpoint=path
    )
    with pytest.raises(CheckpointError, match='is refused'):
        model.init_weights()
