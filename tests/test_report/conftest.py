"""A finished distillation on digits, and the folder that it left."""

import pytest
from helpers import digits_config, tiny_classifier

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.report.run_folder import read_run

HOOKS = dict(
    checkpoint=dict(
        type='CheckpointHook', interval=5, save_best='accuracy/top1'
    ),
    export_student=dict(type='ExportStudentHook'),
    logger=dict(type='LoggerHook', interval=1),
    teacher_check=dict(type='TeacherCheckHook'),
)


def train(folder, **kwargs):
    """Train for two epochs; returns the folder."""
    cfg = digits_config(folder, default_hooks=HOOKS, **kwargs)
    DistillRunner.from_cfg(cfg).train()
    return folder


@pytest.fixture(scope='session')
def alone(tmp_path_factory):
    """The folder of a plain classifier's training."""
    folder = tmp_path_factory.mktemp('report') / 'alone'
    cfg = digits_config(folder, default_hooks=HOOKS)
    cfg.model = tiny_classifier(depth=14)
    cfg.model.data_preprocessor = dict(mean=[73.2], std=[90.24])
    DistillRunner.from_cfg(cfg).train()
    return folder


@pytest.fixture(scope='session')
def distilled(alone):
    """The folder of a distillation from that classifier."""
    teacher = alone / 'student.pth'
    assert load_file(teacher)
    return train(
        alone.parent / 'distilled', **{'model.teacher_ckpt': str(teacher)}
    )


@pytest.fixture
def run(distilled):
    return read_run(distilled)
