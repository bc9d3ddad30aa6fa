"""Which files a run leaves, even if it is killed."""

import os

import pytest
from helpers import checkpointed

import mmdistill.checkpoints.policy as policy
from mmdistill.engine.resume import latest_checkpoint


def test_checkpoints_kept_elsewhere(tmp_path):
    kwargs = dict(checkpoint=dict(out_dir=str(tmp_path / 'kept')))
    checkpointed(tmp_path / 'run', 1, **kwargs).train()
    assert not (tmp_path / 'run' / 'epoch_1.pth').exists()
    path = latest_checkpoint(tmp_path / 'run')
    assert path == str(tmp_path / 'kept' / 'run' / 'epoch_1.pth')
    checkpointed(tmp_path / 'run', 2, resume=True, **kwargs).train()
    assert (tmp_path / 'kept' / 'run' / 'epoch_2.pth').is_file()


class Killed(BaseException):
    """Ends a run where a kill would."""


def test_a_kill_at_any_write_leaves_a_checkpoint(tmp_path, monkeypatch):
    """Of one that is kept; and so for the best."""
    folder = tmp_path / 'run'
    replacing = policy.replacing
    writes = []

    def dies(path):
        writes.append(os.path.basename(path))
        if 'epoch_1.pth' in writes and 'epoch_1.pth' not in writes[-1]:
            # before any later one
            assert latest_checkpoint(folder) is not None
            assert len(list(folder.glob('best_*'))) == (
                'best_' in ' '.join(writes[:-1])
            )
        if writes[-1] == 'epoch_3.pth':
            raise Killed
        return replacing(path)

    monkeypatch.setattr(policy, 'replacing', dies)
    runner = checkpointed(folder, 3, checkpoint=dict(max_keep_ckpts=1))
    with pytest.raises(Killed):
        runner.train()
    assert latest_checkpoint(folder) == str(folder / 'epoch_2.pth')
    assert [p.name for p in folder.glob('epoch_*')] == ['epoch_2.pth']


def test_what_a_killed_run_left_half_written_is_cleared(folder):
    left = [
        *('epoch_3.pth', 'best_accuracy_top1_epoch_1.pth'),
        *('last_checkpoint', 'student.pth', 'student_best.pth'),
    ]
    others = ['epoch_3.pth.tmp', 'mine.onnx.01234567.tmp', 'notes.tmp']
    for name in left:
        (folder / f'{name}.0123abcd.tmp').write_bytes(b'half')
    for name in others:
        (folder / name).write_bytes(b'mine')
    checkpointed(folder, 3, resume=True).train()
    assert sorted(p.name for p in folder.glob('*.tmp')) == sorted(others)
