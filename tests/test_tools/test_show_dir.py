"""Pictures and metrics of detection and segmentation by the real tool."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mmdistill.datasets import make_digits_canvas

PLUGIN = '''
import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData

from mmdistill.registry import MODELS


@MODELS.register_module()
class Oracle(BaseModel):
    """Predicts what is annotated, and something that is not, unsurely."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            if 'gt_sem_seg' in sample:
                sample.pred_sem_seg = PixelData(data=sample.gt_sem_seg.data)
                continue
            truth = sample.gt_instances
            unsure = torch.zeros_like(truth.masks[:1])
            unsure[:, 2:40, 2:40] = True
            sample.pred_instances = InstanceData(
                bboxes=torch.cat(
                    [truth.bboxes, torch.tensor([[2.0, 2.0, 40.0, 40.0]])]),
                labels=torch.cat([truth.labels, truth.labels[:1]]),
                masks=torch.cat([truth.masks, unsure]),
                scores=torch.tensor([0.9] * len(truth) + [0.2]))
        return data_samples
'''

CONFIG = """
custom_imports = dict(imports=['oracle'], allow_failed_imports=False)
default_scope = 'mmdistill'
model = dict(type='Oracle')
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset={dataset})
test_evaluator = {evaluator}
test_cfg = dict()
default_hooks = dict(
    visualization=dict(type='DenseVisualizationHook', draw_gt={draw_gt}))
"""

PIPELINE = """[dict(type='LoadRGBImage'), dict(type='{}'),
        dict(type='PackDenseInputs')]"""
DETECTION = f"""dict(
        type='CocoDetection', data_root='set', test_mode=True,
        ann_file='annotations/instances_val.json', with_masks=True,
        data_prefix=dict(img='JPEGImages'),
        pipeline={PIPELINE.format('LoadInstances')})"""
SEGMENTATION = f"""dict(
        type='VOCSegmentation', data_root='set', image_set='val',
        classes=('background', *'0123456789'), test_mode=True,
        pipeline={PIPELINE.format('LoadSemanticMap')})"""
METRICS = """[dict(type='VOCMetric'), dict(
    type='CocoMetric', ann_file='set/annotations/instances_val.json',
    iou_types=('bbox', 'segm'))]"""


@pytest.fixture(scope='module')
def folder(toy):
    """The toy's folder, with images, an oracle and its checkpoint."""
    make_digits_canvas(toy.folder / 'set', num_train=1, num_val=5)
    (toy.folder / 'oracle.py').write_text(PLUGIN)
    state = dict(state_dict=dict(weight=torch.zeros(1)))
    torch.save(state, toy.folder / 'oracle.pth')
    return toy.folder


def read(path):
    return np.asarray(Image.open(path)).astype(int)


def test_detections(folder, main):
    (folder / 'detection.py').write_text(
        CONFIG.format(dataset=DETECTION, evaluator=METRICS, draw_gt=True)
    )
    main(
        'test', 'detection.py', 'oracle.pth', '--show-dir', 'drawn',
        '--out', 'metrics.json', '--out-item', 'metrics',
    )  # fmt: skip
    metrics = json.loads((folder / 'metrics.json').read_text())
    for name in ('coco/bbox_AP', 'coco/segm_AP', 'voc/AP', 'voc/AP50'):
        assert metrics[name] == pytest.approx(100)
    names = [f'val_{i:06d}' for i in range(5)]
    drawn = sorted((folder / 'drawn').iterdir())
    assert [path.stem for path in drawn] == names
    for path in drawn:
        image = read(folder / 'set' / 'JPEGImages' / f'{path.stem}.jpg')
        truth, found = np.split(read(path), 2, axis=1)
        assert truth.shape == found.shape == image.shape
        changed = np.abs(found - image).sum(axis=2) > 0
        # Most of the image is not touched: the unsure box is not drawn.
        assert 0.01 < changed.mean() < 0.6
        assert (np.abs(truth - image).sum(axis=2) > 0).any()


def test_interval(folder, main):
    (folder / 'detection.py').write_text(
        CONFIG.format(dataset=DETECTION, evaluator=METRICS, draw_gt=False)
    )
    main(
        'test', 'detection.py', 'oracle.pth', '--show-dir', 'few',
        '--interval', 3,
    )  # fmt: skip
    names = sorted(path.name for path in (folder / 'few').iterdir())
    assert names == ['val_000000.png', 'val_000003.png']


def test_maps(folder, main):
    evaluator = "dict(type='MeanIoU', num_classes=11)"
    (folder / 'maps.py').write_text(
        CONFIG.format(dataset=SEGMENTATION, evaluator=evaluator, draw_gt=False)
    )
    main(
        'test', 'maps.py', 'oracle.pth', '--show-dir', 'maps',
        '--out', 'metrics.json', '--out-item', 'metrics',
    )  # fmt: skip
    metrics = json.loads((folder / 'metrics.json').read_text())
    assert metrics['seg/mIoU'] == metrics['seg/aAcc'] == 100
    for path in (folder / 'maps').iterdir():
        image = read(folder / 'set' / 'JPEGImages' / f'{path.stem}.jpg')
        classes = read(folder / 'set' / 'SegmentationClass' / path.name)
        changed = np.abs(read(path) - image).sum(axis=2) > 2
        assert not changed[classes == 0].any()
        assert changed[classes > 0].mean() > 0.9
