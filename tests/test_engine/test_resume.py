"""From which file a run goes on."""

import os

import pytest
import torch
from helpers import checkpointed

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.resume import latest_checkpoint


# Files to resume from -------------------------------------------------------
@pytest.mark.parametrize('name', ['best', 'student', 'student_best', 'bare'])
def test_resuming_from_a_file_without_the_run_is_refused(folder, name):
    path = str(folder / f'{name}.pth')
    if name == 'best':
        (path,) = map(str, folder.glob('best_*.pth'))
    if name == 'bare':
        torch.save(torch.load(folder / 'student.pth')['state_dict'], path)
    runner = checkpointed(folder, 3, resume=True, load_from=path)
    with pytest.raises(CheckpointError) as error:
        runner.train()
    message = str(error.value)
    assert path in message and 'set load_from' in message
    assert 'optimizer, param_schedulers' in message
    assert str(folder / 'epoch_2.pth') in message


@pytest.mark.parametrize('key', ['optimizer', 'param_schedulers', 'meta'])
def test_a_full_checkpoint_that_lost_a_part_is_refused(folder, key):
    path = folder / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint[key]
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match=f'has no {key}'):
        checkpointed(folder, 3, resume=True, load_from=str(path)).train()


# The pointer ----------------------------------------------------------------
def test_the_pointer_is_right_wherever_the_folder_is(folder, finished):
    assert (folder / 'last_checkpoint').read_text() == 'epoch_2.pth'
    assert latest_checkpoint(folder) == str(folder / 'epoch_2.pth')
    runner = checkpointed(folder, 3, resume=True)
    runner.train()
    assert (folder / 'epoch_3.pth').is_file()
    assert not (finished / 'epoch_3.pth').exists()


def test_a_copied_folder_never_goes_on_from_the_other_run(
    folder, finished, warned
):
    """Its pointer may be of MMEngine's kind, a whole path."""
    pointer = folder / 'last_checkpoint'
    pointer.write_text(str(finished / 'epoch_2.pth'))
    assert latest_checkpoint(folder) == str(folder / 'epoch_2.pth')
    assert not warned()
    (folder / 'epoch_2.pth').unlink()
    assert latest_checkpoint(folder) == str(folder / 'epoch_1.pth')
    assert 'epoch_2.pth' in warned()
    (folder / 'epoch_1.pth').unlink()
    with pytest.raises(CheckpointError, match='no other full checkpoint'):
        latest_checkpoint(folder)


@pytest.mark.parametrize(
    'content', [b'', b'\0\xff' * 9, b'..', b'student.pth', b'x' * 9999]
)
def test_a_pointer_to_nothing_falls_back(folder, content, warned):
    (folder / 'last_checkpoint').write_bytes(content)
    assert latest_checkpoint(folder) == str(folder / 'epoch_2.pth')
    assert 'going on from' in warned()


@pytest.mark.parametrize('damage', ['cut', 'gone', 'no pointer'])
def test_a_damaged_checkpoint_falls_back(folder, damage, warned):
    newest = folder / 'epoch_2.pth'
    if damage == 'cut':
        newest.write_bytes(newest.read_bytes()[:5000])
    if damage == 'gone':
        newest.unlink()
    if damage == 'no pointer':
        (folder / 'last_checkpoint').unlink()
    expected = 'epoch_2.pth' if damage == 'no pointer' else 'epoch_1.pth'
    assert latest_checkpoint(folder) == str(folder / expected)
    assert 'going on from' in warned()


def test_the_newest_is_the_one_of_the_largest_number(folder):
    os.rename(folder / 'epoch_1.pth', folder / 'epoch_10.pth')
    (folder / 'last_checkpoint').unlink()
    assert latest_checkpoint(folder) == str(folder / 'epoch_10.pth')


def test_a_folder_of_no_run_has_none(tmp_path):
    (tmp_path / 'resnet_50.pth').write_bytes(b'')
    assert latest_checkpoint(tmp_path) is None
