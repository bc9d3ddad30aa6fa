"""Checkpoints are data: what is refused, what still loads, what is written."""

from __future__ import annotations

import copy
import functools
import io
import os
import pickle
import re
import shutil
import subprocess
import threading
import zipfile
from argparse import Namespace
from collections import OrderedDict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from helpers import distiller, tiny_classifier, tiny_encoder
from mmengine.evaluator import BaseMetric
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from mmdistill.checkpoints import (
    CheckpointError,
    atomic_save,
    load_checkpoint,
    load_file,
    loading_policy,
    reading,
    state_dict_of,
    trust_checkpoints,
    unpickling,
)
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.distillers.teacher_file import load_teacher
from mmdistill.registry import MODELS

torch.set_num_threads(1)


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


# ------------------------------------------------------------------ exploits


class Call:
    """Pickles as a call, which unpickling makes."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def code(sentinel):
    return f'open({str(sentinel)!r}, "w").close()'


def call(function, *args):
    """Torch's own list holds a function that calls what it is given."""
    rebuild = torch._tensor._rebuild_from_type_v2
    return Call(rebuild, function, OrderedDict, args, {})


BUILTINS = Call(getattr, getattr, '__self__')  # the module


def via_getattr(sentinel, name='eval'):
    return call(Call(getattr, BUILTINS, name), code(sentinel))


def via_import(sentinel):
    rebuild = torch._tensor._rebuild_from_type_v2
    imports = Call(getattr, BUILTINS, '__import__')
    module_type = Call(getattr, BUILTINS, '__class__')
    module = Call(rebuild, imports, module_type, ('os',), {})
    return call(Call(getattr, module, 'system'), f'touch {sentinel}')


EXPLOITS = {
    'getattr to eval': via_getattr,
    'getattr to exec': functools.partial(via_getattr, name='exec'),
    'getattr to os.system': via_import,
    'os.system': lambda s: Call(os.system, f'touch {s}'),
    'eval': lambda s: Call(eval, code(s)),
    'subprocess': lambda s: Call(subprocess.call, ['touch', str(s)]),
    'history method': lambda s: Call(getattr, HistoryBuffer, '__init__'),
    'register_statistics': lambda s: Call(
        getattr, HistoryBuffer, 'register_statistics'
    ),
    'getattr of others': lambda s: Call(getattr, OrderedDict, 'min'),
}


@pytest.fixture
def sentinel(tmp_path):
    path = tmp_path / 'sentinel'
    yield path
    assert not path.exists(), 'the checkpoint was executed'


@pytest.mark.parametrize('exploit', [via_getattr, via_import])
def test_exploit_works_on_the_list_of_mmengine(exploit, tmp_path):
    """So that the tests below refuse something real."""
    path, mark = tmp_path / 'x.pth', tmp_path / 'mark'
    torch.save(dict(state_dict=exploit(mark)), path)
    theirs = mmengine_checkpoint.get_torch_safe_globals()
    with torch.serialization.safe_globals(theirs):
        with pytest.raises(AttributeError, match='as_subclass'):
            torch.load(path, weights_only=True)
    assert mark.exists()


@pytest.mark.parametrize('form', ['zip', 'legacy', 'raw', 'raw protocol 0'])
@pytest.mark.parametrize('exploit', EXPLOITS)
def test_exploit_is_refused(exploit, form, tmp_path, sentinel):
    path = tmp_path / 'x.pth'
    bad = dict(state_dict=EXPLOITS[exploit](sentinel))
    if form.startswith('raw'):
        protocol = 0 if form.endswith('0') else 2
        path.write_bytes(pickle.dumps(bad, protocol=protocol))
    else:
        torch.save(bad, path, _use_new_zipfile_serialization=form == 'zip')
    before = set(torch.serialization.get_safe_globals())
    with pytest.raises(CheckpointError, match=r'x\.pth is refused'):
        load_file(path)
    with pytest.raises(CheckpointError, match='is refused'):
        load_file(io.BytesIO(path.read_bytes()))
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize(
    'bad, named',
    [
        (Call(os.system, 'true'), f'{os.name}.system'),
        (Call(eval, '1'), 'eval'),
        (Call(shutil.rmtree, '/nowhere'), 'shutil.rmtree'),
        (Call(getattr, getattr, '__self__'), "getattr(_statistic, '__self__'"),
    ],
)
def test_error_names_the_global_and_the_way_out(bad, named, tmp_path):
    torch.save([bad], tmp_path / 'x.pth')
    with pytest.raises(CheckpointError) as info:
        load_file(tmp_path / 'x.pth')
    message = str(info.value)
    assert named in message
    assert 'Nothing in it was executed' in message
    assert (
        '--trust-checkpoints' in message and 'trust_checkpoints()' in message
    )
    assert 'weights_only=False' not in message  # torch's advice


def test_list_of_the_process_does_not_count(tmp_path, sentinel):
    """Another library may have allowed getattr for everyone."""
    torch.save(via_getattr(sentinel), tmp_path / 'x.pth')
    with torch.serialization.safe_globals([getattr, eval]):
        with pytest.raises(CheckpointError):
            load_file(tmp_path / 'x.pth')
        assert getattr in torch.serialization.get_safe_globals()


def test_history_of_a_file_leaves_other_histories_alone(tmp_path):
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    history._statistics_methods = dict(mean=OrderedDict, other=OrderedDict)
    torch.save(history, tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')
    assert loaded.statistics('mean') == 2
    assert HistoryBuffer._statistics_methods == {
        name: getattr(HistoryBuffer, name)
        for name in ('min', 'max', 'mean', 'current')
    }


def memory_reader():
    """numpy would read the address given; OrderedDict may have attributes."""
    array = np.arange(3.0)
    reader = OrderedDict()
    reader.__array_interface__ = dict(
        data=(array.ctypes.data, False), shape=(3,), typestr='<f8', version=3
    )
    assert np.array(reader).tolist() == [0, 1, 2]
    return reader


def test_history_reads_no_memory(tmp_path):
    history = HistoryBuffer([1], [1])
    history._log_history = memory_reader()
    for bad in (history, Call(HistoryBuffer, memory_reader(), [])):
        torch.save(bad, tmp_path / 'x.pth')
        with pytest.raises(CheckpointError, match='HistoryBuffer'):
            load_file(tmp_path / 'x.pth')


@pytest.mark.parametrize(
    'array',
    [
        np.array([object]),
        np.zeros(2, dtype='V8'),
        np.zeros(2, dtype=[('a', 'f8')]),
        np.array(['text']),
    ],
    ids=str,
)
def test_arrays_of_other_things_than_numbers_are_refused(array, tmp_path):
    torch.save(array, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='it holds an array of type'):
        load_file(tmp_path / 'x.pth')


@pytest.mark.parametrize('code', unpickling._NUMBERS)
def test_numbers_load(code, tmp_path):
    array = np.arange(6).reshape(2, 3).astype(code)
    torch.save([array, array.T, array[1, 1], array[:0]], tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')
    for got, expected in zip(
        loaded, [array, array.T, array[1, 1], array[:0]], strict=True
    ):
        assert isinstance(got, type(expected)) and got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_array_from_a_file_is_saved_as_any_array(tmp_path):
    array = np.arange(6.0)
    torch.save(array, tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(loaded, protocol))
        assert type(again) is np.ndarray and np.array_equal(again, array)


def write_filled(path, content, state):
    """A pickle that gives an object, empty or filled, another state."""
    content, state = (pickle.dumps(x, protocol=2) for x in (content, state))
    path.write_bytes(content[:-1] + state[2:-1] + b'b.')


def test_array_is_filled_once(tmp_path):
    """A second filling would free memory under the tensor made of it."""
    array = np.arange(1000.0)
    write_filled(tmp_path / 'x.pth', array, array[:1].__reduce__()[2])
    with pytest.raises(CheckpointError, match='fills an array twice'):
        load_file(tmp_path / 'x.pth')


def test_arguments_of_a_script_are_data(tmp_path):
    arguments = Namespace(lr=0.1, scale=(0.4, 1.0), nested=Namespace(a=None))
    torch.save(dict(args=arguments), tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')['args']
    assert type(loaded) is Namespace and loaded == arguments
    assert type(loaded.nested) is Namespace


@pytest.mark.parametrize(
    'state',
    [
        dict(__reduce_ex__=OrderedDict),
        dict(__setstate__=OrderedDict),
        ({}, dict(__class__=OrderedDict)),
        {3: 4},
        [('a', 1)],
    ],
    ids=str,
)
def test_arguments_are_nothing_but_named_values(state, tmp_path):
    write_filled(tmp_path / 'x.pth', Namespace(), state)
    with pytest.raises(CheckpointError, match='Namespace holds no arguments'):
        load_file(tmp_path / 'x.pth')


def test_arguments_are_filled_once(tmp_path):
    write_filled(tmp_path / 'x.pth', Namespace(a=1), dict(a=2))
    with pytest.raises(CheckpointError, match='is refused'):
        load_file(tmp_path / 'x.pth')


def test_state_cannot_change_a_number_type():
    """The ground that ``_number_type`` stands on, in the numpy installed."""
    laid_over = (3, '|', None, ('a',), {'a': (np.dtype('O'), 0)}, 8, 1, 63)
    for code in unpickling._NUMBERS:
        unpickling._number_type(code, False, True).__setstate__(laid_over)
        assert np.dtype(code).fields is None
        assert not np.dtype(code).hasobject


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


# -------------------------------------------------------------------- damage


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / 'small.pth'
    torch.save(dict(state_dict=dict(a=torch.arange(64.0))), path)
    return path


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.pth'):
        load_file(tmp_path / 'nothing.pth')


@pytest.mark.parametrize('part', [0, 0.01, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize('form', ['zip', 'legacy'])
def test_truncated_file(part, form, small_file):
    if form == 'legacy':
        torch.save(
            torch.load(small_file),
            small_file,
            _use_new_zipfile_serialization=False,
        )
    data = small_file.read_bytes()
    small_file.write_bytes(data[: int(part * len(data))])
    with pytest.raises(CheckpointError, match=r'small\.pth .*truncated'):
        load_file(small_file)


@pytest.mark.parametrize(
    'content', [b'<html>404</html>', b'version https://git-lfs', b'\x80\x02.']
)
def test_no_checkpoint(content, tmp_path):
    (tmp_path / 'x.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match='no checkpoint'):
        load_file(tmp_path / 'x.pth')


def test_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.pth', 'w') as archive:
        archive.writestr('notes.txt', 'hello')
    with pytest.raises(CheckpointError, match='no checkpoint'):
        load_file(tmp_path / 'x.pth')


def test_flipped_bit_in_a_tensor(small_file):
    data = bytearray(small_file.read_bytes())
    position = data.index(torch.arange(64.0).numpy().tobytes()) + 130
    data[position] ^= 1
    small_file.write_bytes(data)
    torch.load(small_file)  # torch does not notice
    with pytest.raises(CheckpointError, match='does not match its checksum'):
        load_file(small_file)
    trust_checkpoints()
    try:
        with pytest.raises(CheckpointError, match='checksum'):
            load_file(small_file)
    finally:
        trust_checkpoints(False)


def test_no_flipped_bit_changes_what_is_loaded(small_file):
    """Any byte: refused, or (in padding) of no effect."""
    data = small_file.read_bytes()
    refused = 0
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        try:
            loaded = load_file(io.BytesIO(damaged))
        except CheckpointError:
            refused += 1
        else:
            assert torch.equal(
                loaded['state_dict']['a'], torch.arange(64.0)
            ), position
    assert refused > 100


# ------------------------------------------------------------ what still loads


def test_legacy_format(tmp_path):
    torch.save(
        OrderedDict(a=torch.eye(2)),
        tmp_path / 'x.pth',
        _use_new_zipfile_serialization=False,
    )
    assert torch.equal(load_file(tmp_path / 'x.pth')['a'], torch.eye(2))


def test_file_object_is_read_from_where_it_stands(small_file):
    buffer = io.BytesIO(small_file.read_bytes())
    for _ in range(2):
        buffer.seek(0)
        assert load_file(buffer)['state_dict']['a'].shape == (64,)
    with open(small_file, 'rb') as file:
        assert load_file(file)['state_dict']['a'].shape == (64,)
        assert not file.closed


def test_random_state_loads(tmp_path):
    """What ``ResumeStateHook`` keeps: plain values and tensors."""
    state = dict(
        python=(3, tuple(range(625)), None),
        numpy=['MT19937', torch.arange(624), 3, 0, 0.0],
        torch=torch.get_rng_state(),
        cuda=[],
    )
    torch.save(dict(random_state=state), tmp_path / 'x.pth')
    loaded = load_file(tmp_path / 'x.pth')['random_state']
    assert loaded['python'] == state['python']
    assert torch.equal(loaded['torch'], state['torch'])


def test_missing_device_is_not_called_damage(small_file):
    if torch.cuda.is_available():
        pytest.skip('the device is there')
    torch.save(torch.ones(1), small_file)
    with pytest.raises(RuntimeError, match='CUDA') as info:
        load_file(small_file, 'cuda')
    assert not isinstance(info.value, CheckpointError)


class Custom:
    """Not on the list."""


def test_trust_loads_what_is_refused(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(
        reading, 'print_log', lambda text, **kwargs: logged.append(text)
    )
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, other=Custom()), path)
    with pytest.raises(CheckpointError, match=r'test_policy\.Custom'):
        load_file(path)
    assert not logged
    trust_checkpoints()
    try:
        for file in (path, io.BytesIO(path.read_bytes())):
            assert isinstance(load_file(file)['other'], Custom)
        loaded = load_checkpoint(str(path))
        assert isinstance(loaded['other'], Custom)
        assert len(logged) == 3 and str(path) in logged[0]
        torch.save(torch.ones(1), path)
        load_file(path)
        assert len(logged) == 3  # nothing to warn about
        path.write_bytes(b'<html>')
        with pytest.raises(CheckpointError, match='no checkpoint'):
            load_file(path)
    finally:
        trust_checkpoints(False)
    torch.save(Custom(), path)
    with pytest.raises(CheckpointError):
        load_file(path)


# ------------------------------------------------------------------- weights


def test_state_dict_of_every_layout():
    weights = {'a.weight': torch.ones(1), 'module': torch.zeros(1)}
    parallel = {f'module.{key}': value for key, value in weights.items()}
    for checkpoint in (
        weights,
        parallel,
        dict(state_dict=weights, meta={}),
        dict(state_dict=parallel, model=3),
        dict(model=parallel, epoch=240),
    ):
        assert dict(state_dict_of(checkpoint, 'x.pth')) == weights


def test_state_dict_of_keeps_layer_versions():
    """Without them layers take the file for one of an older release."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Linear(2, 2)))
    expected = model.state_dict()._metadata
    assert expected['0'] == dict(version=2)
    for source in (model, nn.DataParallel(model)):
        got = state_dict_of(source.state_dict(), 'x.pth')
        assert {key: got._metadata[key] for key in expected} == expected
        model.load_state_dict(got)


@pytest.mark.parametrize(
    'checkpoint, message',
    [
        (torch.ones(1), 'a Tensor'),
        ([torch.ones(1)], 'a list'),
        ({}, 'an empty dict'),
        (dict(state_dict={}), 'an empty dict'),
        (dict(state_dict=[1]), 'a list'),
        (dict(a=torch.ones(1), epoch=3), r"\['epoch'\]"),
        (dict(state_dict={'a': 'text'}), r"\['a'\]"),
        ({3: torch.ones(1)}, r'\[3\]'),
    ],
)
def test_state_dict_of_other_things(checkpoint, message):
    with pytest.raises(CheckpointError, match=message) as info:
        state_dict_of(checkpoint, 'some.pth')
    assert 'some.pth' in str(info.value)
    assert "expected a dict with 'state_dict'" in str(info.value)


# ------------------------------------------------------------------- writing


def test_put_and_atomic_save_write(tmp_path):
    path = tmp_path / 'new' / 'x.pth'
    LocalBackend().put(b'first', path)
    assert path.read_bytes() == b'first'
    atomic_save(dict(a=torch.ones(1)), path)
    assert load_file(path)['a'] == 1
    assert os.listdir(path.parent) == ['x.pth']
    plain = tmp_path / 'plain'
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def fail_to_put(path):
    LocalBackend().put('no bytes', path)


def fail_to_save(path):
    atomic_save(dict(a=torch.ones(1000), b=lambda: 0), path)


@pytest.mark.parametrize('fail', [fail_to_put, fail_to_save])
def test_failing_write_leaves_the_old_file(fail, tmp_path):
    path = tmp_path / 'x.pth'
    path.write_bytes(b'old')
    errors = (TypeError, AttributeError, pickle.PicklingError)
    with loading_policy(), pytest.raises(errors):
        fail(path)
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x.pth']


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Also when it ends after the data, before they took the name."""

    def interrupt(descriptor):
        assert path.read_bytes() == b'old'
        raise KeyboardInterrupt

    path = tmp_path / 'x.pth'
    path.write_bytes(b'old')
    monkeypatch.setattr(os, 'fsync', interrupt)
    with loading_policy(), pytest.raises(KeyboardInterrupt):
        LocalBackend().put(b'new', str(path))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x.pth']


def test_links_and_devices_stay(tmp_path):
    (tmp_path / 'real').mkdir()
    link = tmp_path / 'link.pth'
    link.symlink_to(tmp_path / 'real' / 'x.pth')
    with loading_policy():
        LocalBackend().put(b'data', link)
    assert link.is_symlink()
    assert (tmp_path / 'real' / 'x.pth').read_bytes() == b'data'
    atomic_save([1], os.devnull)
    assert not os.path.isfile(os.devnull)


def test_runner_saves_atomically(run_dir, tmp_path, monkeypatch):
    """mmengine's ``save_checkpoint`` goes through the patched ``put``."""
    path = tmp_path / 'x.pth'
    path.write_bytes(b'old')

    def fail(source, target):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with loading_policy(), pytest.raises(OSError, match='disk full'):
        mmengine_checkpoint.save_checkpoint(dict(a=1), str(path))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['x.pth']


@pytest.mark.parametrize('version', ['2.6.0', '2.9.1+cpu'])
def test_a_torch_with_a_hole_in_its_unpickler_is_refused(monkeypatch, version):
    monkeypatch.setattr(torch, '__version__', version)
    with pytest.raises(
        ImportError, match=f'torch {re.escape(version)} .*2.10'
    ):
        with loading_policy():
            pass
