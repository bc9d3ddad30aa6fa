"""Where configs and tools lie."""

import pytest

from mmdistill.utils import shipped


def test_the_source_tree_has_both():
    assert (shipped.shipped_folder('configs') / '_base_').is_dir()
    assert (shipped.shipped_folder('tools') / 'train.py').is_file()


def test_a_wheel_has_them_inside(tmp_path, monkeypatch):
    package = tmp_path / 'mmdistill'
    (package / '.mim' / 'configs').mkdir(parents=True)
    monkeypatch.setattr(shipped, '_PACKAGE', package)
    assert shipped.shipped_folder('configs') == package / '.mim' / 'configs'
    with pytest.raises(FileNotFoundError, match='has no tools'):
        shipped.shipped_folder('tools')
