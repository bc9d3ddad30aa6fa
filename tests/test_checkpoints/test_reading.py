"""Damage of a file is said, and what is whole loads."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict

import pytest
import torch

from mmdistill.checkpoints import CheckpointError, load_file, trust_checkpoints


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


def test_missing_device_is_not_called_damage(small_file):
    if torch.cuda.is_available():
        pytest.skip('the device is there')
    torch.save(torch.ones(1), small_file)
    with pytest.raises(RuntimeError, match='CUDA') as info:
        load_file(small_file, 'cuda')
    assert not isinstance(info.value, CheckpointError)
