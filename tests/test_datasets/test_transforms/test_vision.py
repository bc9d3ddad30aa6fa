"""torchvision's transforms carry boxes, masks and maps along."""

import numpy as np
import pytest
import torch
from annotation_files import annotation, with_transforms, write_coco
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmdistill.datasets.sample_stream import index_samples
from mmdistill.registry import DATASETS, TRANSFORMS

BOXES = [
    annotation(1, 10, 7, (5, 6, 20, 10)),
    annotation(2, 10, 90, (30, 0, 15, 40)),
    annotation(3, 20, 3, (0, 0, 60, 40)),
]


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, BOXES, images=2)


def dataset(root, *transforms):
    return DATASETS.build(
        dict(
            type='CocoDetection',
            data_root=str(root),
            ann_file='annotations.json',
            data_prefix=dict(img='images'),
            with_masks=True,
            pipeline=with_transforms(*transforms),
        )
    )


def boxes_of(masks):
    """The tight boxes of masks."""
    found = []
    for mask in masks:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        found.append(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        )
    return torch.tensor(found, dtype=torch.float32)


def test_flip(root):
    plain = dataset(root, dict(type='Identity'))[0]
    flipped = dataset(root, dict(type='RandomHorizontalFlip', p=1.0))[0]
    assert torch.equal(flipped['inputs'], plain['inputs'].flip(2))
    found = flipped['data_samples'].gt_instances
    assert found.bboxes.tolist() == [[35, 6, 55, 16], [15, 0, 30, 40]]
    assert torch.equal(found.bboxes, boxes_of(found.masks))
    assert type(found.bboxes) is type(found.masks) is torch.Tensor


def test_what_a_crop_leaves_nothing_of_goes(root):
    """Of the first box 4 columns are left, of the second one none."""
    crop = dict(type='CenterCrop', size=(40, 18))  # columns 21 to 39
    both = dataset(root, crop)[0]['data_samples'].gt_instances
    assert both.labels.tolist() == [1, 2]
    assert both.bboxes.tolist() == [[0, 6, 4, 16], [9, 0, 18, 40]]
    assert torch.equal(both.bboxes, boxes_of(both.masks))

    crop = dict(type='CenterCrop', size=(40, 8))  # columns 26 to 34
    item = dataset(root, crop)[0]
    one = item['data_samples'].gt_instances
    assert one.labels.tolist() == [2]
    assert one.masks.shape == (1, 40, 8)
    assert item['data_samples'].img_shape == (40, 8)
    assert item['data_samples'].ori_shape == (40, 60)


def test_what_was_cut_off_does_not_travel(root):
    item = dataset(root, dict(type='CenterCrop', size=(4, 12)))[1]
    found = item['data_samples'].gt_instances
    assert item['inputs'].untyped_storage().nbytes() == 3 * 4 * 12
    assert found.masks.untyped_storage().nbytes() == 4 * 12


def test_resize_and_nested_transforms(root):
    resize = dict(type='Resize', size=(80, 120))
    flip = dict(type='RandomHorizontalFlip', p=1.0)
    nested = dict(type='RandomApply', transforms=[resize, flip], p=1.0)
    item = dataset(root, nested)[0]
    assert item['inputs'].shape == (3, 80, 120)
    found = item['data_samples'].gt_instances
    assert found.bboxes.tolist() == [[70, 12, 110, 32], [30, 0, 60, 80]]
    assert torch.equal(found.bboxes, boxes_of(found.masks))


def test_difficult_follows_its_box():
    transform = TRANSFORMS.build(
        dict(
            type='VisionTransforms',
            transforms=[dict(type='CenterCrop', size=(10, 10))],
        )
    )
    load = TRANSFORMS.build(dict(type='LoadInstances'))
    results = dict(
        img=torch.zeros(3, 30, 30, dtype=torch.uint8),
        ori_shape=(30, 30),
        boxes=np.float32([[0, 0, 9, 9], [8, 8, 22, 22]]),
        labels=np.array([4, 5]),
        difficult=np.array([False, True]),
    )
    found = transform(load(results))
    assert found['gt_labels'].tolist() == [5]
    assert found['gt_difficult'].tolist() == [True]


def test_padding_of_maps_is_void():
    transform = TRANSFORMS.build(
        dict(
            type='VisionTransforms',
            transforms=[
                dict(
                    type='RandomCrop',
                    size=(50, 70),
                    pad_if_needed=True,
                    fill=dict(Mask=255, others=7),
                )
            ],
        )
    )
    from torchvision import tv_tensors

    results = transform(
        dict(
            img=tv_tensors.Image(torch.ones(3, 40, 60, dtype=torch.uint8)),
            gt_sem_seg=tv_tensors.Mask(torch.ones(1, 40, 60).byte()),
        )
    )
    inside = results['gt_sem_seg'][0] == 1
    assert inside.sum() == 40 * 60
    assert results['gt_sem_seg'].unique().tolist() == [1, 255]
    assert torch.equal(results['img'][0] == 1, inside)
    assert (results['img'][0][~inside] == 7).all()


@pytest.mark.parametrize('name', ['RandomFlop', 'functional', 'Transform2'])
def test_unknown_transform(name):
    with pytest.raises(ValueError, match=f'no transform {name!r}'):
        TRANSFORMS.build(
            dict(type='VisionTransforms', transforms=[dict(type=name)])
        )


def drawn(root, workers, seed):
    """What random transforms make of two passes."""
    data = dataset(
        root,
        dict(type='RandomHorizontalFlip', p=0.5),
        dict(type='RandomResizedCrop', size=(32, 32)),
    )
    loader = DataLoader(data, num_workers=workers, collate_fn=pseudo_collate)
    index_samples(loader, seed=seed)
    return torch.stack(
        [batch['inputs'][0] for _ in range(2) for batch in loader]
    )


def test_random_transforms_are_seeded_by_sample(root):
    """Through torch's generator, as ``ResumeStateHook`` seeds it."""
    torch.manual_seed(1)
    first = drawn(root, 0, seed=3)
    torch.manual_seed(2)
    assert torch.equal(drawn(root, 2, seed=3), first)
    assert not torch.equal(drawn(root, 0, seed=4), first)
