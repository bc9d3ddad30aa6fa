"""A file that is not there: which setting names it, and what is near."""

from __future__ import annotations

import pytest

from mmdistill.engine.config_files import read_config, require_file


def test_a_file_that_is_needed(tmp_path):
    (tmp_path / 'here.pth').touch()
    require_file(str(tmp_path / 'here.pth'), 'the checkpoint')
    require_file('https://example.org/there.pth', 'the checkpoint')
    with pytest.raises(FileNotFoundError, match="the checkpoint 'gone.pth'"):
        require_file('gone.pth', 'the checkpoint')


def test_the_config_that_names_a_missing_base(tmp_path):
    (tmp_path / 'bases').mkdir()
    (tmp_path / 'bases' / 'runtime.py').write_text('a = 1\n')
    middle = tmp_path / 'middle.py'
    middle.write_text("_base_ = ['bases/runtime.py', 'bases/runtme.py']\n")
    leaf = tmp_path / 'leaf.py'
    leaf.write_text("_base_ = './middle.py'\n")
    with pytest.raises(
        FileNotFoundError,
        match=r"_base_ of the config '.*middle.py' names 'bases/runtme.py'.*"
        r"did you mean 'runtime.py'",
    ):
        read_config(leaf)
    middle.write_text("_base_ = 'base/runtime.py'\n")
    with pytest.raises(FileNotFoundError, match=r"no folder '.*base'"):
        read_config(leaf)
    middle.write_text("_base_ = 'mmdistill::kd/kd_resnet34_in1k.py'\n")
    with pytest.raises(
        FileNotFoundError,
        match=r"middle.py' names 'mmdistill::kd/kd_resnet34_in1k.py'.*"
        r"did you mean 'kd_resnet34_resnet18_in1k.py'",
    ):
        read_config(leaf)
    middle.write_text("_base_ = 'bases/runtime.py'\n")
    assert read_config(leaf).a == 1
