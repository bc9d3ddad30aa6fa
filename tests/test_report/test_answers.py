"""What the models say is what the run measured."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmdistill.report.answers import see
from mmdistill.report.run_folder import read_run
from mmdistill.report.run_models import Models


def test_accuracies_are_the_runs(run):
    models = Models(run, 'cpu')
    seen, sample = see(models, run)
    assert len(seen.labels) == seen.total == 100
    student = seen.models['student'].accuracy(seen.labels)
    # of the best validation, whose weights are in student_best.pth
    assert student == pytest.approx(max(run.values('accuracy/top1')))
    (teacher,) = set(run.values('teacher/accuracy/top1'))
    assert seen.models['teacher'].accuracy(seen.labels) == pytest.approx(
        teacher
    )
    assert seen.teacher == 'teacher' and seen.name(3) == '3'
    assert seen.models['student'].feature.shape == (100, 16)
    for i in (0, 7):
        given = sample(seen.index[i])
        assert int(given['data_samples'].gt_label) == int(seen.labels[i])
        gray = given['inputs'][0].numpy()
        np.testing.assert_array_equal(seen.images[i][..., 0], gray)


def test_images_are_drawn_alike_and_time_ends(run):
    models = Models(run, 'cpu')
    seen, _ = see(models, run, count=40)
    again, _ = see(models, run, count=60)
    assert again.index[:40] == seen.index and len(set(seen.index)) == 40
    short, _ = see(models, run, seconds=0.0)
    assert len(short.index) == 32  # one batch


def test_a_plain_run(alone):
    run = read_run(alone)
    seen, _ = see(Models(run, 'cpu'), run)
    found = seen.models['student'].accuracy(seen.labels)
    assert found == pytest.approx(max(run.values('accuracy/top1')))
    assert seen.teacher is None


@pytest.mark.parametrize('reads', [False, True])
def test_pictures_are_rgb(run, reads):
    """OpenCV's order is turned round, a dataset's own is not."""
    from mmdistill.report.answers import _pictures_are_bgr, _small

    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    image[0] = 200
    steps = [dict(type='LoadImageFromFile' if reads else 'PackInputs')]
    cfg = Config(dict(val_dataloader=dict(dataset=dict(pipeline=steps))))
    found = _small(image, _pictures_are_bgr(cfg))
    assert found[0, 0].tolist() == ([0, 0, 200] if reads else [200, 0, 0])


def test_large_pictures_become_small():
    from mmdistill.report.answers import _small

    found = _small(torch.full((3, 192, 384), 7, dtype=torch.uint8), False)
    assert found.shape == (48, 96, 3) and (found == 7).all()
