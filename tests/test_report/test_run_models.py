"""The networks that a run left, with their weights."""

import shutil

import pytest
import torch

from mmdistill.report.answers import see
from mmdistill.report.run_folder import read_run
from mmdistill.report.run_models import Models, collated


def test_a_teacher_whose_file_is_gone(distilled, tmp_path):
    run = read_run(distilled)
    run.cfg.model.teacher_ckpt = str(tmp_path / 'gone.pth')
    models = Models(run, 'cpu')
    assert not models.teachers and 'gone.pth' in models.missing
    assert see(models, run)[0].teacher is None


def test_a_teacher_of_other_numbers_for_the_classes(run):
    models = Models(run, 'cpu')
    before, _ = see(models, run)
    turned = list(range(9, -1, -1))
    models.whole.targets['teacher'].chosen = turned
    found, _ = see(models, run)
    expected = before.models['teacher'].logits.flip(1)
    torch.testing.assert_close(found.models['teacher'].logits, expected)
    labels = torch.tensor([0, 9, 4])
    assert models.classes_of('teacher', labels).tolist() == [9, 0, 5]
    assert models.classes_of('student', labels).tolist() == [0, 9, 4]


def test_a_run_that_left_no_weights(distilled, tmp_path):
    folder = shutil.copytree(
        distilled, tmp_path / 'x', ignore=shutil.ignore_patterns('*.pth')
    )
    with pytest.raises(FileNotFoundError, match='no checkpoint'):
        Models(read_run(folder), 'cpu')


def test_images_of_several_sizes_stay_a_list():
    from mmpretrain.structures import DataSample

    samples = [
        dict(inputs=torch.zeros(1, n, n), data_samples=DataSample())
        for n in (4, 5)
    ]
    assert [x.shape[-1] for x in collated(samples)['inputs']] == [4, 5]
