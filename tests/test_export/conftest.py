import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmdistill.export import Student
from mmdistill.registry import MODELS

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm)


@pytest.fixture
def student():
    """Makes a student of a config."""
    return make_student


def make_student(network):
    """A network whose every tensor matters, as if it had been trained."""
    model = MODELS.build(network).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if isinstance(module, NORMS):
                module.weight.uniform_(0.5, 1.5)
        for value in model.parameters():
            if not value.any():
                value.normal_(0, 0.1)
    state = model.state_dict()
    cfg = Config(dict(model=network))
    return Student(model, dict(state_dict=state, meta={}), cfg, None)
