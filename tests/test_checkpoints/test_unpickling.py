"""Which globals a file may name, and what they may do."""

from __future__ import annotations

import functools
import io
import os
import pickle
import re
import shutil
import subprocess
from argparse import Namespace
from collections import OrderedDict

import mmengine.runner.checkpoint as mmengine_checkpoint
import numpy as np
import pytest
import torch
from exploits import BUILTINS, Call, call, code, via_getattr
from mmengine.logging import HistoryBuffer

from mmdistill.checkpoints import (
    CheckpointError,
    load_checkpoint,
    load_file,
    loading_policy,
    reading,
    trust_checkpoints,
    unpickling,
)


# ------------------------------------------------------------------ exploits
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
    for number in unpickling._NUMBERS:
        unpickling._number_type(number, False, True).__setstate__(laid_over)
        assert np.dtype(number).fields is None
        assert not np.dtype(number).hasobject


# ------------------------------------------------------------ what still loads
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


class Custom:
    """Not on the list."""


def test_trust_loads_what_is_refused(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(
        reading, 'print_log', lambda text, **kwargs: logged.append(text)
    )
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, other=Custom()), path)
    with pytest.raises(CheckpointError, match=r'test_unpickling\.Custom'):
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


@pytest.mark.parametrize('version', ['2.6.0', '2.9.1+cpu'])
def test_a_torch_with_a_hole_in_its_unpickler_is_refused(monkeypatch, version):
    monkeypatch.setattr(torch, '__version__', version)
    with pytest.raises(
        ImportError, match=f'torch {re.escape(version)} .*2.10'
    ):
        with loading_policy():
            pass
