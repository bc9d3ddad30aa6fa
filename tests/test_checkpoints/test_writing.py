"""A file is written whole or not at all."""

from __future__ import annotations

import os
import pickle

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.fileio import LocalBackend

from mmdistill.checkpoints import atomic_save, load_file, loading_policy


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


def test_mmengine_saves_atomically(tmp_path, monkeypatch):
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
