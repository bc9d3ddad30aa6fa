import pytest


@pytest.fixture
def sentinel(tmp_path):
    path = tmp_path / 'sentinel'
    yield path
    assert not path.exists(), 'the checkpoint was executed'
