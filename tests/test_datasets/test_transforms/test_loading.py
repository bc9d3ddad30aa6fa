"""Files become images, boxes and maps, or are named."""

import cv2
import numpy as np
import pytest
import torch
from annotation_files import cut_off, write_image
from PIL import Image

from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.registry import TRANSFORMS


def load(kind, **results):
    return TRANSFORMS.build(dict(type=kind))(results)


def test_an_image_is_rgb_as_it_is_stored(tmp_path):
    path = tmp_path / 'a.png'
    pixels = write_image(path)
    found = load('LoadRGBImage', img_path=str(path))
    assert found['ori_shape'] == (40, 60)
    stored = np.array(Image.open(path).convert('RGB'))
    assert stored.shape == pixels.shape
    assert torch.equal(found['img'], torch.from_numpy(stored).permute(2, 0, 1))


def test_of_16_bits_the_higher_ones_are_taken(tmp_path):
    deep = np.random.default_rng(0).integers(0, 1 << 16, (5, 6, 3), np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), deep[..., ::-1])
    found = load('LoadRGBImage', img_path=str(tmp_path / 'a.png'))['img']
    assert found.dtype == torch.uint8
    assert np.array_equal(found.permute(1, 2, 0), deep >> 8)


def test_an_image_of_another_size_than_annotated(tmp_path):
    write_image(tmp_path / 'a.png')
    given = dict(img_path=str(tmp_path / 'a.png'), height=60, width=40)
    with pytest.raises(ValueError, match='40 x 60 pixels, .*as 60 x 40'):
        load('LoadRGBImage', **given)


def test_what_cannot_be_decoded_is_named(tmp_path):
    path = tmp_path / 'a.png'
    write_image(path)
    cut_off(path)
    with pytest.raises(UnreadableFile, match="a.png' cannot be decoded"):
        load('LoadRGBImage', img_path=str(path))
    with pytest.raises(UnreadableFile, match="a.png' cannot be decoded"):
        load('LoadSemanticMap', map_path=str(path), ori_shape=(40, 60))


def test_a_corrupt_sample_is_black_and_void():
    found = load('LoadRGBImage', corrupt=True, height=4, width=6)
    assert found['img'].shape == (3, 4, 6) and not found['img'].any()
    found = load('LoadSemanticMap', **found)
    assert found['gt_sem_seg'].shape == (1, 4, 6)
    assert (found['gt_sem_seg'] == 255).all()


def test_outlines_become_masks():
    square = [[1, 1, 4, 1, 4, 3, 1, 3]]
    counts = dict(size=[4, 6], counts=[0, 4, 20])  # the first column
    found = load(
        'LoadInstances',
        ori_shape=(4, 6),
        boxes=np.array([[1, 1, 4, 3], [0, 0, 1, 4]], np.float32),
        labels=np.array([2, 0]),
        outlines=[square, counts],
        difficult=np.array([True, False]),
    )
    masks = torch.zeros(2, 4, 6, dtype=torch.bool)
    masks[0, 1:3, 1:4] = True
    masks[1, :, 0] = True
    assert torch.equal(found['gt_masks'], masks)
    assert found['gt_bboxes'].canvas_size == (4, 6)
    assert found['gt_labels'].tolist() == [2, 0]
    assert found['gt_difficult'].tolist() == [True, False]


def test_no_outline_is_no_mask():
    found = load(
        'LoadInstances',
        ori_shape=(4, 6),
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        outlines=[],
    )
    assert found['gt_masks'].shape == (0, 4, 6)
    assert 'gt_difficult' not in found
