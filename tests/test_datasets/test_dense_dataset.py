"""Images that cannot be read, of any dataset of boxes or maps."""

import pytest
from annotation_files import (
    BOXES,
    coco,
    cut_off,
    logged,
    with_transforms,
    write_coco,
)
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, BOXES)


def test_corrupt_fails_with_the_name(root):
    cut_off(root / 'images' / '001.png')
    dataset = coco(root)
    with pytest.raises(ValueError, match="001.png' cannot .*corrupt='skip'"):
        dataset[0]
    assert dataset[1]['data_samples'].img_id == 20
    loader = DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    batches = iter(loader)
    with pytest.raises(ValueError, match="001.png' cannot be decoded"):
        next(batches)
    # The traceback keeps it, and as garbage it would be waited for.
    batches._shutdown_workers()


@pytest.mark.parametrize('workers', [0, 2])
def test_skipped_in_training(root, workers):
    """The next good one comes instead; each is named once, and counted."""
    for i in (1, 2):
        cut_off(root / 'images' / f'{i:03d}.png')
    dataset = coco(root, corrupt='skip')
    loader = DataLoader(
        dataset, num_workers=workers, collate_fn=pseudo_collate
    )
    with logged() as messages:
        seen = [
            batch['data_samples'][0].img_id
            for _ in range(2)
            for batch in loader
        ]
    assert seen == [40] * 6
    assert dataset.corrupt_count == 2
    if not workers:  # else it is the workers who say so
        first, second = messages
        assert "001.png' cannot be decoded" in first
        assert '(2 so far)' in second


def test_blank_in_a_test(root):
    cut_off(root / 'images' / '003.png')
    (root / 'images' / '004.png').write_bytes(b'')
    dataset = coco(root, corrupt='skip', test_mode=True)
    items = [dataset[i] for i in range(4)]
    marks = [item['data_samples'].corrupt for item in items]
    assert marks == [False, False, True, True]
    assert items[2]['inputs'].shape == (3, 40, 60)
    assert not items[2]['inputs'].any()
    assert [item['data_samples'].img_id for item in items] == [10, 20, 30, 40]


def test_nothing_but_corrupt_images(root):
    for path in (root / 'images').iterdir():
        cut_off(path)
    with pytest.raises(ValueError, match='none of 3 samples'):
        coco(root, corrupt='skip')[1]


def test_an_error_of_a_transform_is_no_corrupt_image(root):
    pipeline = with_transforms(dict(type='RandomCrop', size=(90, 90)))
    with pytest.raises(ValueError, match='crop size'):
        coco(root, corrupt='skip', pipeline=pipeline)[0]
