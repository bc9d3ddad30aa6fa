"""Small images with rectangles in them, and runs on these."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch.utils.data import Dataset

from mmdistill.registry import DATASETS, MODELS

#: A ResNet-18 of few channels.
TINY = dict(
    type='ResNet',
    depth=18,
    stem_channels=8,
    base_channels=8,
    out_indices=(0, 1, 2, 3),
)

#: Few proposals of small images.
SMALL = dict(
    num_classes=3,
    min_size=64,
    max_size=96,
    rpn=dict(
        rpn_pre_nms_top_n_train=60,
        rpn_pre_nms_top_n_test=60,
        rpn_post_nms_top_n_train=30,
        rpn_post_nms_top_n_test=30,
        rpn_batch_size_per_image=32,
    ),
    roi=dict(box_batch_size_per_image=16, box_detections_per_img=8),
)

FPN = dict(fpn_width=16, anchor_sizes=((8,), (16,), (32,), (48,), (64,)))

C4 = dict(neck='c4', anchor_sizes=((16, 32, 48),))


def detector(type='FasterRCNN', backbone=TINY, **kwargs):
    """Config of a small detector."""
    form = C4 if kwargs.get('neck') == 'c4' else FPN
    return {**SMALL, **form, **dict(type=type, backbone=backbone), **kwargs}


def sample(index, boxes=2, size=None, with_masks=True):
    """An image whose rectangles have the colour of their class."""
    draw = torch.Generator().manual_seed(index)
    height, width = size or (48 + 8 * (index % 3), 64)
    image = torch.randint(60, (3, height, width), generator=draw).byte()
    corners = torch.randint(2, 24, (boxes, 2), generator=draw)
    extents = torch.randint(12, 22, (boxes, 2), generator=draw)
    labels = torch.randint(3, (boxes,), generator=draw)
    masks = torch.zeros(boxes, height, width, dtype=torch.bool)
    for (x, y), (w, h), label, mask in zip(
        corners, extents, labels, masks, strict=True
    ):
        image[label, y : y + h, x : x + w] = 250
        mask[y : y + h, x : x + w] = True
    element = BaseDataElement(
        metainfo=dict(
            img_id=index,
            img_path=f'{index}.png',
            ori_shape=(height, width),
            img_shape=(height, width),
            corrupt=False,
        )
    )
    element.gt_instances = InstanceData(
        bboxes=torch.cat([corners, corners + extents], dim=1).float(),
        labels=labels,
    )
    if with_masks:
        element.gt_instances.masks = masks
    # void, background and the rectangles' classes
    classes = torch.zeros(1, height, width, dtype=torch.int64)
    classes[:, :4] = 255
    for label, mask in zip(labels, masks, strict=True):
        classes[0, mask] = label + 1
    element.gt_sem_seg = PixelData(data=classes)
    return dict(inputs=image, data_samples=element)


def batch(count=2, **kwargs):
    """A batch as the dataloader gives it."""
    items = [sample(i, **kwargs) for i in range(count)]
    return {key: [item[key] for item in items] for key in items[0]}


def steps(model, data, count, lr=0.02):
    """The sums of losses of some steps of SGD."""
    model.train()
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=lr, momentum=0.9)
    sums = []
    for _ in range(count):
        optimizer.zero_grad()
        prepared = model.data_preprocessor(data, True)
        loss = sum(model(**prepared, mode='loss').values())
        loss.backward()
        optimizer.step()
        sums.append(loss.item())
    return sums


@DATASETS.register_module()
class Rectangles(Dataset):
    def __init__(self, count=8, **kwargs):
        self.samples = [sample(i, **kwargs) for i in range(count)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def run_config(work_dir, model, epochs=2, **kwargs):
    """A short run on rectangles, as a config of a Runner."""
    kwargs = dict(custom_hooks=[dict(type='ResumeStateHook')]) | kwargs
    return Config(
        dict(
            default_scope='mmdistill',
            experiment_name=f'{os.urandom(8).hex()}',
            work_dir=str(work_dir),
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='Rectangles', size=(48, 64)),
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(
                optimizer=dict(type='SGD', lr=0.005, momentum=0.9)
            ),
            randomness=dict(seed=0),
            log_level='WARNING',
            **kwargs,
        )
    )


def build(**kwargs):
    return MODELS.build(detector(**kwargs))


def prepared(model, **kwargs):
    return model.data_preprocessor(batch(**kwargs), True)


def losses_of(model, data, seed=3):
    torch.manual_seed(seed)
    return model(**data, mode='loss')
