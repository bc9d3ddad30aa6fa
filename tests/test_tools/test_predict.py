"""tools/predict.py and tools/embed.py, as users call them."""

import json

import numpy as np
import pytest
from predicting_files import classifier, pictures, student_file

from mmdistill.checkpoints import trust_checkpoints


@pytest.fixture
def student(tmp_path):
    pictures(tmp_path / 'pictures')
    student_file(tmp_path / 'student.pth', classifier(), size=(16, 16))
    yield tmp_path / 'student.pth'
    trust_checkpoints(False)


def test_what_a_student_says(main, student, tmp_path, capsys):
    out = tmp_path / 'out.json'
    main('predict', student, tmp_path / 'pictures', '--out', out, '--top', 1)
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f'wrote {out}: the answers for 13 pictures'
    records = json.loads(out.read_text())
    assert [line.partition(': ')[0] for line in said[:-1]] == [
        record['path'] for record in records
    ]
    assert all(len(record['top']) == 1 for record in records)


def test_its_features(main, student, tmp_path, capsys):
    out = tmp_path / 'out.npy'
    main('embed', student, tmp_path / 'pictures' / '*.png', '--out', out,
         '--normalize', '--batch-size', 2)  # fmt: skip
    assert capsys.readouterr().out == (
        f'wrote {out}: 8 features of 16 numbers\n'
    )
    assert np.load(out).shape == (8, 16)


def test_an_error_is_one_line(main, student, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv('MMDISTILL_DEBUG')
    broken = tmp_path / 'broken.png'
    broken.touch()
    with pytest.raises(SystemExit):
        main('predict', student, broken)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"error: the image '{broken}' is no picture, or")
    main('predict', student, broken, '--skip-errors')
    assert 'error: the image' in capsys.readouterr().out
