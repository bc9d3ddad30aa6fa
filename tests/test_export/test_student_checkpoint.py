"""What the file of a student says of its images."""

import pytest
from helpers import tiny_classifier
from mmengine.config import Config
from torch import nn

from mmdistill.export.student_checkpoint import (
    configured_size,
    student_checkpoint,
)
from mmdistill.registry import MODELS
from mmdistill.utils.pipelines import test_pipeline as pipeline_of_tests

CROP = dict(type='CenterCrop', crop_size=24)
RESIZE = dict(type='Resize', scale=(40, 32))
PACK = dict(type='PackInputs')


def config(*steps, **model):
    dataset = dict(type='CustomDataset', pipeline=[*steps, PACK])
    return Config(dict(model=model, val_dataloader=dict(dataset=dataset)))


@pytest.mark.parametrize(
    ('cfg', 'size'),
    [
        (config(RESIZE, CROP), (24, 24)),
        (config(RESIZE), (32, 40)),
        (config(RESIZE, CROP, input_size=(3, 8, 9)), (8, 9)),
        (config(), None),
        (Config(dict(model=dict())), None),
    ],
)
def test_the_distiller_or_the_last_step_says_the_size(cfg, size):
    assert configured_size(cfg, nn.Identity()) == size


def test_transforms_of_tests_come_before_those_of_validation():
    cfg = config(CROP)
    assert pipeline_of_tests(cfg) == [CROP, PACK]
    inner = dict(type='CustomDataset', pipeline=[RESIZE])
    several = dict(type='ConcatDataset', datasets=[inner])
    cfg.test_dataloader = dict(dataset=dict(dataset=several))
    assert pipeline_of_tests(cfg) == [RESIZE]
    assert pipeline_of_tests(Config(dict(val_dataloader=None))) is None


def test_transforms_that_ran_once_come_before_those_of_every_access():
    kept = dict(type='ImageTensorDataset', dataset=dict(pipeline=[RESIZE]))
    cfg = config(CROP)
    cfg.test_dataloader = dict(dataset=dict(kept, pipeline=[CROP, PACK]))
    assert pipeline_of_tests(cfg) == [RESIZE, CROP, PACK]
    cfg.test_dataloader = dict(dataset=kept)
    assert pipeline_of_tests(cfg) == [RESIZE, PACK]
    kept = dict(type='mmdistill.ImageTensorDataset', dataset=dict())
    cfg.test_dataloader = dict(dataset=kept)
    assert pipeline_of_tests(cfg) == [PACK]


def test_a_file_builds_the_student_and_knows_its_images():
    cfg = config(model=None)
    cfg.model = tiny_classifier()
    built = MODELS.build(cfg.model)
    file = student_checkpoint(built, cfg, input_size=(8, 8))
    assert file['meta']['input_size'] == (8, 8)
    model = Config.fromstring(file['meta']['cfg'], '.py').model
    MODELS.build(model).load_state_dict(file['state_dict'])
