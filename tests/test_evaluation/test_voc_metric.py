"""VOC's average precision: closed forms, and the devkit's loop."""

import numpy as np
import pytest
import torch
from annotation_files import logged, predicted
from helpers import run_distributed
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from mmdistill.evaluation.voc_metric import average_precision
from mmdistill.registry import METRICS


def sample(truth, found, **metainfo):
    """truth: (label, difficult, box); found: (label, score, box)."""
    labels, scores, boxes = zip(*found, strict=True) if found else ((),) * 3
    element = predicted(0, boxes, scores, labels, **metainfo)
    labels, marks, boxes = zip(*truth, strict=True) if truth else ((),) * 3
    element.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        difficult=torch.tensor(marks, dtype=torch.bool),
    )
    return element


def evaluate(samples, size=None, **kwargs):
    evaluator = Evaluator(METRICS.build(dict(type='VOCMetric') | kwargs))
    evaluator.process(samples)
    found = evaluator.evaluate(size or len(samples))
    return {name.removeprefix('voc/'): value for name, value in found.items()}


A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (0, 20, 10, 30)
A70 = (0, 0, 10, 7)  # IoU 0.7 with A
A50 = (0, 0, 10, 5)  # IoU 0.5 with A, which is not above 0.5


def test_a_curve_by_hand():
    """Right, wrong, right, right of four objects."""
    recall = np.array([1, 1, 2, 3]) / 4
    precision = np.array([1, 1 / 2, 2 / 3, 3 / 4])
    area = 1 / 4 * 1 + 1 / 4 * 3 / 4 + 1 / 4 * 3 / 4
    assert average_precision(recall, precision) == pytest.approx(area)
    # recalls 0, 0.1, 0.2; 0.3 to 0.7; 0.8 to 1
    points = (3 * 1 + 5 * 3 / 4 + 3 * 0) / 11
    assert average_precision(recall, precision, True) == pytest.approx(points)


@pytest.mark.parametrize('old', [False, True])
def test_right_and_wrong_extremes(old):
    truth = [(3, 0, A), (3, 0, B), (7, 0, C)]
    right = [(label, 0.9, box) for label, _, box in truth]
    wrong = [(7, 0.9, A), (7, 0.8, B), (3, 0.7, C)]
    metrics = evaluate([sample(truth, right)], use_07_metric=old)
    assert metrics == pytest.approx(dict(AP=100, AP50=100, AP75=100))
    metrics = evaluate([sample(truth, wrong)], use_07_metric=old)
    assert metrics == dict(AP=0, AP50=0, AP75=0)


def test_overlaps_above_and_at_the_threshold():
    found = evaluate([sample([(0, 0, A)], [(0, 0.9, A70)])])
    # 0.5, 0.55, 0.6, 0.65, and not 0.7 itself
    assert found == pytest.approx(dict(AP=40, AP50=100, AP75=0))
    found = evaluate([sample([(0, 0, A)], [(0, 0.9, A50)])])
    assert found == dict(AP=0, AP50=0, AP75=0)


def test_the_second_detection_of_an_object_is_wrong():
    truth = [(0, 0, A), (0, 0, B)]
    twice = [(0, 0.9, A), (0, 0.8, A), (0, 0.7, B)]
    found = evaluate([sample(truth, twice)], iou_thrs=(0.5,))
    assert found['AP50'] == pytest.approx(100 * (1 / 2 + 1 / 2 * 2 / 3))
    # The better score wins, not the better overlap.
    loose = [(0, 0.9, A70), (0, 0.8, A)]
    found = evaluate([sample([(0, 0, A)], loose)], iou_thrs=(0.5, 0.75))
    assert found == pytest.approx(dict(AP=75, AP50=100, AP75=50))


def test_difficult_objects_do_not_count():
    truth = [(0, 0, A), (0, 1, B)]
    both = [(0, 0.95, B), (0, 0.94, B), (0, 0.9, A)]
    assert evaluate([sample(truth, both)])['AP'] == pytest.approx(100)
    assert evaluate([sample(truth, both[2:])])['AP'] == pytest.approx(100)
    # Found too loosely it is simply wrong.
    loose = [(0, 0.95, (20, 0, 30, 4)), (0, 0.9, A)]
    assert evaluate([sample(truth, loose)])['AP'] == pytest.approx(50)


def test_scores_order_detections_of_all_images():
    first = sample([(0, 0, A)], [(0, 0.2, A)])
    second = sample([], [(0, 0.8, B)])
    third = sample([(0, 0, C)], [(0, 0.9, C)])
    found = evaluate([first, second, third], iou_thrs=(0.5,))
    assert found['AP50'] == pytest.approx(100 * (1 / 2 + 1 / 2 * 2 / 3))


def test_classes_without_an_object_are_left_out():
    item = sample([(0, 0, A), (1, 1, B)], [(0, 0.9, A), (2, 0.9, C)])
    assert evaluate([item])['AP'] == pytest.approx(100)


def test_corrupt_images_are_left_out():
    good = sample([(0, 0, A)], [(0, 0.9, A)])
    blank = sample([(0, 0, A), (1, 0, B)], [(0, 0.99, C)], corrupt=True)
    assert evaluate([good, blank])['AP'] == pytest.approx(100)


@pytest.mark.parametrize('truth', [[], [(0, 1, A)]])
def test_nothing_to_find(truth):
    with logged() as messages:
        found = evaluate([sample(truth, [(0, 0.9, A)])])
    assert found == dict(AP=0, AP50=0, AP75=0)
    assert any('no object' in message for message in messages)


def test_no_detection():
    found = evaluate([sample([(0, 0, A)], [])], use_07_metric=True)
    assert found == dict(AP=0, AP50=0, AP75=0)


def test_a_dataset_without_marks():
    item = sample([(0, 0, A)], [(0, 0.9, A)])
    del item.gt_instances.difficult
    assert evaluate([item])['AP'] == pytest.approx(100)


# The development kit's own way ----------------------------------------------
def random_samples(count=12):
    random = np.random.default_rng(0)

    def boxes(count):
        corner = random.integers(1, 30, (count, 2))
        extent = random.integers(5, 20, (count, 2))
        return np.concatenate([corner, corner + extent], axis=1)

    def entries(boxes, draw):
        return [(int(random.integers(2)), draw(), box) for box in boxes]

    samples = []
    for _ in range(count):
        own = boxes(random.integers(0, 5))
        near = np.concatenate([own, own])
        near += random.integers(-2, 3, near.shape)
        found = np.concatenate([near, boxes(2)])
        truth = entries(own.tolist(), lambda: random.random() < 0.3)
        samples.append((truth, entries(found.tolist(), random.random)))
    return samples


def devkit(samples, number, threshold, old):
    """VOCevaldet.m, whose boxes hold their last pixel: one at a time."""
    truth = [[x for x in gt if x[0] == number] for gt, _ in samples]
    positives = sum(not mark for own in truth for _, mark, _ in own)
    found = [
        (score, i, box)
        for i, (_, own) in enumerate(samples)
        for label, score, box in own
        if label == number
    ]
    taken, tp, fp = set(), [], []
    for _, i, box in sorted(found, key=lambda x: -x[0]):
        x1, y1, x2, y2 = box[0] + 1, box[1] + 1, box[2], box[3]
        best, which = 0.0, None
        for j, (_, _, other) in enumerate(truth[i]):
            u1, v1, u2, v2 = other[0] + 1, other[1] + 1, other[2], other[3]
            w = min(x2, u2) - max(x1, u1) + 1
            h = min(y2, v2) - max(y1, v1) + 1
            if w <= 0 or h <= 0:
                continue
            union = (x2 - x1 + 1) * (y2 - y1 + 1) - w * h
            union += (u2 - u1 + 1) * (v2 - v1 + 1)
            if w * h / union > best:
                best, which = w * h / union, j
        right = wrong = 0
        if best <= threshold:
            wrong = 1
        elif not truth[i][which][1]:
            right = (i, which) not in taken
            wrong = not right
            taken.add((i, which))
        tp.append(right)
        fp.append(wrong)
    tp, fp = np.cumsum(tp), np.cumsum(fp)
    recall, precision = tp / positives, tp / np.maximum(tp + fp, 1)
    if old:
        return np.mean(
            [
                max(precision[recall >= t], default=0)
                for t in np.arange(0, 1.1, 0.1)
            ]
        )
    value = last = 0.0
    for r in sorted(set(recall) - {0}):
        value += (r - last) * precision[recall >= r].max()
        last = r
    return value


@pytest.mark.parametrize('old', [False, True])
def test_equals_the_development_kit(old):
    samples = random_samples()
    found = evaluate([sample(*x) for x in samples], use_07_metric=old)
    table = [
        [devkit(samples, number, t / 100, old) for number in (0, 1)]
        for t in range(50, 100, 5)
    ]
    means = 100 * np.mean(table, axis=1)
    assert found['AP'] == pytest.approx(means.mean())
    assert found['AP50'] == pytest.approx(means[0])
    assert found['AP75'] == pytest.approx(means[5])
    assert 10 < found['AP'] < 90


def _half(rank, world):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    own = [sample(*x) for x in random_samples(11)[rank::world]]
    if rank:  # a sampler's repetition, which must not count
        own.append(sample(*random_samples()[0]))
    return evaluate(own, size=11)


@pytest.mark.slow
def test_two_processes_equal_one():
    expected = evaluate([sample(*x) for x in random_samples(11)])
    for found in run_distributed(_half, 2):
        assert found == pytest.approx(expected)
