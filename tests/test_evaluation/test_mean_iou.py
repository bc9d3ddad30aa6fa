import pytest
import torch
from annotation_files import predicted
from helpers import run_distributed
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmdistill.registry import METRICS


def sample(true, found, **metainfo):
    element = predicted(**metainfo)
    element.gt_sem_seg = PixelData(data=torch.as_tensor(true)[None])
    element.pred_sem_seg = PixelData(data=torch.as_tensor(found)[None])
    return element


def evaluate(samples, size=None, num_classes=3, **kwargs):
    metric = dict(type='MeanIoU', num_classes=num_classes, **kwargs)
    evaluator = Evaluator(METRICS.build(metric))
    evaluator.process(samples)
    return evaluator.evaluate(size or len(samples))


def test_by_hand():
    """IoUs 2/4 and 2/4; 4 of 6 right; 2/3 and 2/3 of the classes."""
    found = evaluate([sample([[0, 0, 0], [1, 1, 1]], [[0, 0, 1], [0, 1, 1]])])
    assert found == pytest.approx(
        {'seg/mIoU': 50, 'seg/aAcc': 400 / 6, 'seg/mAcc': 200 / 3}
    )


def test_a_class_that_is_only_predicted_counts_for_the_iou_alone():
    found = evaluate([sample([[0, 0, 0, 0]], [[0, 0, 0, 2]])])
    assert found['seg/mIoU'] == pytest.approx((75 + 0) / 2)
    assert found['seg/mAcc'] == pytest.approx(75)


def test_void_does_not_count():
    found = evaluate([sample([[0, 1, 255, 255]], [[0, 1, 2, 0]])])
    assert set(found.values()) == {100}
    found = evaluate([sample([[0, 9, 9]], [[0, 1, 2]])], ignore_index=9)
    assert set(found.values()) == {100}


def test_pixels_of_all_images_count_together():
    """Not the mean over images, which would be 75."""
    small = sample([[0, 1]], [[1, 0]])
    large = sample([[0, 0, 0, 1, 1, 1]], [[0, 0, 0, 1, 1, 1]])
    found = evaluate([small, large])
    assert found['seg/mIoU'] == pytest.approx(100 * 3 / 5)


def test_corrupt_images_are_left_out():
    good = sample([[0, 1]], [[0, 1]])
    blank = sample([[0, 1]], [[1, 0]], corrupt=True)
    assert evaluate([good, blank])['seg/mIoU'] == 100
    assert set(evaluate([blank]).values()) == {0.0}


@pytest.mark.parametrize(
    'true, found, message',
    [
        ([[0, 3]], [[0, 0]], 'gt_sem_seg has the class 3'),
        ([[0, 0]], [[0, 7]], 'pred_sem_seg has the class 7.*counts 0 to 2'),
    ],
)
def test_classes_out_of_range(true, found, message):
    with pytest.raises(ValueError, match=message):
        evaluate([sample(true, found)])


def random_samples(count=5):
    draw = torch.Generator().manual_seed(0)
    maps = torch.randint(0, 3, (count, 2, 8, 9), generator=draw)
    maps[:, 0, 0] = 255
    return [sample(true, found) for true, found in maps]


def _half(rank, world):
    from mmdistill.utils import register_all_modules

    register_all_modules()
    own = random_samples()[rank::world]
    if rank:  # a sampler's repetition, which must not count
        own.append(random_samples()[0])
    return evaluate(own, size=5)


def test_random_maps():
    samples = random_samples()
    found = evaluate(samples)
    true = torch.stack([s.gt_sem_seg.data for s in samples]).flatten()
    guess = torch.stack([s.pred_sem_seg.data for s in samples]).flatten()
    guess, true = guess[true < 255], true[true < 255]
    ious = [
        ((guess == c) & (true == c)).sum() / ((guess == c) | (true == c)).sum()
        for c in range(3)
    ]
    assert found['seg/mIoU'] == pytest.approx(100 * float(sum(ious)) / 3)
    right = (guess == true).double().mean()
    assert found['seg/aAcc'] == pytest.approx(100 * float(right))


@pytest.mark.slow
def test_two_processes_equal_one():
    expected = evaluate(random_samples())
    for found in run_distributed(_half, 2):
        assert found == pytest.approx(expected)
