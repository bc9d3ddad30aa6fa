"""COCO's metrics: pycocotools by hand, closed forms, and odd results."""

import json
import math

import numpy as np
import pytest
import torch
from annotation_files import annotation, logged, predicted, write_coco
from helpers import run_distributed
from mmengine.evaluator import Evaluator
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdistill.registry import METRICS

META = dict(classes=('class3', 'class7', 'class90'), category_ids=(3, 7, 90))
NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


def truth():
    """Four images with objects of all sizes, and a crowd."""
    random = np.random.default_rng(0)
    found = []
    for number in range(12):
        corner = random.integers(0, 15, 2)
        extent = random.integers(6, 24, 2)
        box = [int(x) for x in (*corner, *extent)]
        image, category = 10 * (number % 3 + 1), (3, 7, 90)[number % 2]
        found.append(annotation(number + 1, image, category, box))
    crowd = dict(size=[40, 60], counts=[0, 40 * 30, 40 * 30])
    found.append(
        annotation(50, 40, 3, (0, 0, 30, 40), iscrowd=1, segmentation=crowd)
    )
    return found


def mask_of(box):
    x1, y1, x2, y2 = (round(float(x)) for x in box)
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[y1:y2, x1:x2] = True
    return mask


def detections(rank=0, world=1):
    """Shifted boxes, some of another class, and some from nowhere."""
    samples = []
    for image in (10, 20, 30, 40)[rank::world]:
        random = np.random.default_rng(image)
        boxes, scores, labels = [], [], []
        for entry in truth():
            if entry['image_id'] == image:
                x, y, w, h = entry['bbox']
                box = np.array([x, y, x + w, y + h])
                box += random.integers(-2, 3, 4)
                boxes.append(box.clip(0, 40).tolist())
                labels.append(META['category_ids'].index(entry['category_id']))
                scores.append(random.random())
        boxes.append([1, 1, 20, 30])
        scores.append(random.random())
        labels.append(0)
        sample = predicted(image, boxes, scores, labels)
        masks = [mask_of(box) for box in sample.pred_instances.bboxes]
        sample.pred_instances.masks = torch.stack(masks)
        samples.append(sample)
    return samples


@pytest.fixture
def root(tmp_path):
    return write_coco(tmp_path, truth())


def evaluate(root, samples, size=None, **kwargs):
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=str(root / 'annotations.json'),
            iou_types=('bbox', 'segm'),
        )
        | kwargs
    )
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = META
    for start in range(0, len(samples), 2):
        evaluator.process(samples[start : start + 2])
    return evaluator.evaluate(size or len(samples))


def by_hand(root, file, iou_type, images=(10, 20, 30, 40)):
    coco = COCO(str(root / 'annotations.json'))
    evaluation = COCOeval(coco, coco.loadRes(str(file)), iou_type)
    evaluation.params.imgIds = list(images)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_equals_pycocotools_on_the_written_files(root):
    metrics = evaluate(root, detections(), outfile_prefix=str(root / 'out'))
    for iou_type in ('bbox', 'segm'):
        expected = by_hand(root, root / f'out.{iou_type}.json', iou_type)
        for name, value in zip(NAMES, expected[:6], strict=True):
            found = metrics[f'coco/{iou_type}_{name}']
            if value == -1:
                assert math.isnan(found)
            else:
                assert found == pytest.approx(100 * value)
    assert 10 < metrics['coco/bbox_AP'] < 90
    assert math.isnan(metrics['coco/bbox_APl'])


def test_the_files_are_in_the_form_of_results(root):
    evaluate(root, detections(), outfile_prefix=str(root / 'out'))
    boxes = json.loads((root / 'out.bbox.json').read_text())
    assert {'image_id', 'category_id', 'score', 'bbox'} == set(boxes[0])
    first = detections()[0].pred_instances
    x1, y1, x2, y2 = first.bboxes[0].tolist()
    assert boxes[0]['bbox'] == [x1, y1, x2 - x1, y2 - y1]
    assert {box['category_id'] for box in boxes} <= {3, 7, 90}
    masks = json.loads((root / 'out.segm.json').read_text())
    assert masks[0]['segmentation']['size'] == [40, 60]
    # without a box, so that the area is that of the mask
    assert 'bbox' not in masks[0]


def perfect(images=(10, 20, 30)):
    samples = []
    for image in images:
        own = [x for x in truth() if x['image_id'] == image]
        boxes = [
            [x, y, x + w, y + h] for x, y, w, h in (a['bbox'] for a in own)
        ]
        labels = [META['category_ids'].index(a['category_id']) for a in own]
        sample = predicted(image, boxes, [0.9] * len(own), labels)
        masks = [mask_of(box) for box in boxes]
        sample.pred_instances.masks = torch.stack(masks)
        samples.append(sample)
    return samples


def test_what_is_annotated_is_right(root):
    metrics = evaluate(root, perfect(), classwise=True)
    for iou_type in ('bbox', 'segm'):
        assert metrics[f'coco/{iou_type}_AP'] == pytest.approx(100)
        assert metrics[f'coco/{iou_type}_AP_class7'] == pytest.approx(100)
        assert math.isnan(metrics[f'coco/{iou_type}_AP_class90'])


def test_classes_in_another_order(root):
    samples = perfect()
    for sample in samples:
        sample.pred_instances.labels += 1
    metric = METRICS.build(
        dict(
            type='CocoMetric',
            ann_file=str(root / 'annotations.json'),
            classwise=True,
        )
    )
    metric.dataset_meta = dict(
        classes=('class90', 'class3', 'class7'), category_ids=(90, 3, 7)
    )
    metric.process(None, [sample.to_dict() for sample in samples])
    metrics = metric.evaluate(3)
    assert metrics['coco/bbox_AP'] == pytest.approx(100)
    assert metrics['coco/bbox_AP_class3'] == pytest.approx(100)
    assert math.isnan(metrics['coco/bbox_AP_class90'])


def test_what_lies_in_a_crowd_is_ignored(root):
    samples = perfect((10, 20, 30, 40)[:3])
    inside = predicted(40, [[2, 2, 20, 30]], [0.95], [0])
    inside.pred_instances.masks = mask_of([2, 2, 20, 30])[None]
    metrics = evaluate(root, [*samples, inside])
    assert metrics['coco/bbox_AP'] == pytest.approx(100)
    assert metrics['coco/segm_AP'] == pytest.approx(100)
    outside = predicted(40, [[40, 2, 58, 30]], [0.95], [0])
    outside.pred_instances.masks = mask_of([40, 2, 58, 30])[None]
    assert evaluate(root, [*samples, outside])['coco/bbox_AP'] < 99


def test_only_seen_and_readable_images_count(root):
    wrong = predicted(30, [[0, 0, 5, 5]], [1.0], [0], corrupt=True)
    wrong.pred_instances.masks = mask_of([0, 0, 5, 5])[None]
    metrics = evaluate(root, [*perfect((10, 20)), wrong])
    assert metrics['coco/bbox_AP'] == pytest.approx(100)
    assert metrics['coco/segm_AP'] == pytest.approx(100)


def nothing(image, **metainfo):
    sample = predicted(image, **metainfo)
    sample.pred_instances.masks = torch.zeros(0, 40, 60, dtype=torch.bool)
    return sample


@pytest.mark.parametrize('corrupt', [False, True])
def test_no_detection_at_all(root, corrupt):
    samples = [nothing(image, corrupt=corrupt) for image in (10, 20)]
    with logged() as messages:
        metrics = evaluate(
            root, samples, classwise=True, outfile_prefix=str(root / 'out')
        )
    assert set(metrics.values()) == {0.0}
    assert len(metrics) == 2 * (6 + 3)
    assert any('nothing was detected' in message for message in messages)
    assert json.loads((root / 'out.bbox.json').read_text()) == []


def test_some_images_without_a_detection(root):
    metrics = evaluate(root, [*perfect((10, 20)), nothing(30), nothing(40)])
    assert 20 < metrics['coco/bbox_AP'] < 90


def test_resized_images_are_brought_back(root):
    samples = perfect()
    for sample in samples:
        found = sample.pred_instances
        found.bboxes *= torch.tensor([2, 3, 2, 3])
        masks = found.masks.repeat_interleave(3, 1).repeat_interleave(2, 2)
        del found.masks
        found.masks = masks
        sample.set_metainfo(dict(img_shape=(120, 120)))
    metrics = evaluate(root, samples)
    assert metrics['coco/bbox_AP'] == pytest.approx(100)
    assert metrics['coco/segm_AP'] == pytest.approx(100)


def _half(rank, world, root):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    samples = detections(rank, world)
    if rank:  # as samplers fill up the last batch
        samples.append(detections()[0])
    else:
        samples.append(detections()[2])
    order = sorted({s.img_id for s in detections()})
    assert len(order) == 4
    return evaluate(root, samples, size=6)


@pytest.mark.slow
def test_two_processes_equal_one(root):
    expected = evaluate(root, detections())
    for found in run_distributed(_half, 2, root):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, nan_ok=True)


def test_the_annotations_of_other_images(root):
    with pytest.raises(ValueError, match='not those of .*CocoMetric.ann_file'):
        evaluate(root, [nothing(50)])


@pytest.mark.parametrize(
    'kwargs, error, message',
    [(dict(iou_types=('keypoints',)), ValueError, "'bbox' and 'segm'"),
     (dict(iou_types=()), ValueError, "'bbox' and 'segm'"),
     (dict(ann_file='no.json'), FileNotFoundError, 'no.json')])  # fmt: skip
def test_bad_input(root, kwargs, error, message):
    with pytest.raises(error, match=message):
        evaluate(root, [], **kwargs)
