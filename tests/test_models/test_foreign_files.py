"""Files of torchvision and timm for MMPretrain's networks."""

import pytest
import timm
import torch
import torchvision

from mmdistill.models.foreign_files import in_own_names
from mmdistill.models.matching import MatchingError
from mmdistill.models.zoo import get_model
from mmdistill.registry import MODELS

SIDE = 64
# Networks whose tensors MMPretrain names otherwise than their library.
NETWORKS = {
    'mobilenet_v2': 'mmpretrain/mobilenet-v2_8xb32_in1k',
    'densenet121': 'mmpretrain/densenet121_3rdparty_in1k',
}


@pytest.mark.parametrize('arch', NETWORKS)
def test_a_file_of_torchvision(arch, tmp_path):
    theirs = torchvision.models.get_model(arch, num_classes=5).eval()
    path = tmp_path / 'weights.pth'
    torch.save(theirs.state_dict(), path)
    distiller = MODELS.build(
        dict(
            type='OfflineDistiller',
            student='cifar/resnet8',
            teacher=dict(type=NETWORKS[arch], num_classes=5),
            teacher_ckpt=str(path),
            losses=dict(rkd=dict(type='RKDLoss')),
            task_weight=0,
        )
    )
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = theirs(images)
        torch.testing.assert_close(distiller.teacher(images), expected)
        student = get_model(
            NETWORKS[arch], num_classes=5,
            init_cfg=dict(type='Pretrained', checkpoint=str(path)),
        ).eval()  # fmt: skip
        torch.testing.assert_close(student(images), expected)


def test_a_file_of_timm_says_its_network():
    theirs = timm.create_model('convnext_tiny', num_classes=3).eval()
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='ConvNeXt',
                arch='tiny',
            ),
            head=dict(type='LinearClsHead', num_classes=3, in_channels=768),
        )
    ).eval()
    state = in_own_names(model, theirs.state_dict(), 'convnext_tiny_d2.pth')
    model.load_state_dict(state)
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(images))
    assert in_own_names(model, theirs.state_dict(), 'weights.pth') is None


def test_another_network_says_where_they_part():
    theirs = torchvision.models.mobilenet_v2()
    model = get_model('mmpretrain/mobilenet-v3-small_8xb128_in1k')
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(MatchingError, match='of torchvision/mobilenet_v2.*is'):
        in_own_names(model, theirs.state_dict(), 'x.pth')
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
