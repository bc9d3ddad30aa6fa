"""Configs of a project outside begin with those that mmdistill has."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.utils.config_reading import read_config
from mmdistill.utils.shipped import shipped_folder

KD = 'quickstart/kd_digits.py'


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_base_of_mmdistill_is_found(tmp_path):
    path = written(tmp_path / 'own.py', f"_base_ = 'mmdistill::{KD}'\n")
    cfg = read_config(path)
    assert cfg.filename == str(path)
    there = Config.fromfile(shipped_folder('configs') / KD)
    assert cfg.to_dict() == there.to_dict()


def test_a_config_of_mmdistill_is_named(tmp_path):
    there = Config.fromfile(shipped_folder('configs') / KD)
    assert read_config(f'mmdistill::{KD}').to_dict() == there.to_dict()


def test_anywhere_in_a_chain_beside_own_bases(tmp_path):
    written(tmp_path / 'parts' / 'more.py', 'work_dir = "here"\n')
    written(
        tmp_path / 'parts' / 'middle.py',
        "# what we share\n_base_ = [\n    './more.py',\n"
        "    'mmdistill::_base_/methods/kd.py',\n]\n"
        'method = dict(task_weight=0.5)\n',
    )
    leaf = written(
        tmp_path / 'leaf.py',
        "_base_ = ['parts/middle.py']\nmodel = dict(**_base_.method)\n"
        "place = '{{ fileDirname }}/{{fileBasename}}'\n",
    )
    cfg = read_config(leaf)
    assert cfg.work_dir == 'here'
    assert cfg.model.task_weight == 0.5
    assert cfg.model.losses.kd.type == 'KDLoss'
    assert cfg.place == str(leaf)


def test_lines_of_errors_are_those_of_the_file(tmp_path):
    path = written(
        tmp_path / 'own.py',
        f"_base_ = [\n    'mmdistill::{KD}',\n]\n\nvalue = 1 / 0\n",
    )
    with pytest.raises(ZeroDivisionError) as caught:
        read_config(path)
    assert caught.traceback[-1].lineno == 4  # from 0


def test_a_misspelt_one_is_refused_with_near_names(tmp_path):
    path = written(
        tmp_path / 'own.py', "_base_ = 'mmdistill::quickstart/kd_digit.py'\n"
    )
    with pytest.raises(FileNotFoundError, match='own.py.*kd_digits.py'):
        read_config(path)


def test_a_config_without_is_read_by_mmengine_alone(tmp_path):
    path = written(tmp_path / 'own.py', 'model = dict(type="A")\n')
    cfg = read_config(str(path))
    assert (cfg.filename, cfg.model.type) == (str(path), 'A')
