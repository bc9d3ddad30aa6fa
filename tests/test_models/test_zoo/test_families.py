"""Teachers of many families by name teach students of three, at each level.

One step on random images with random weights: losses on logits, features and
maps at once. What a family cannot give is an error that names the setting.
"""

import pytest
import torch
from mmpretrain.structures import DataSample

from mmdistill.models.zoo import model_info
from mmdistill.registry import MODELS

SIDE = 64
#: Teachers, and the size of images where theirs cannot be another.
TEACHERS = {
    'timm/resnet18': None,
    'timm/vit_tiny_patch16_224': None,
    'timm/deit_tiny_distilled_patch16_224': None,  # two classifiers
    'timm/vit_small_patch14_dinov2': 56,
    'timm/vit_small_patch16_dinov3': None,  # registers
    'timm/swin_tiny_patch4_window7_224': 224,  # channels last
    'timm/convnext_atto': None,
    'timm/mixer_s16_224': None,
    'timm/levit_128s': 224,
    'timm/efficientnet_b0': None,
    'timm/mobilevit_xxs': None,
    'timm/xcit_nano_12_p16_224': None,
    'timm/poolformer_s12': None,
    'timm/beit_base_patch16_224': None,
    'timm/cait_xxs24_224': None,
    'timm/pvt_v2_b0': None,
    'timm/dla46_c': None,  # its classifier is a convolution
    'torchvision/mobilenet_v2': None,
    'torchvision/vit_b_16': None,
    'torchvision/swin_t': None,
    'torchvision/densenet121': None,
    'torchvision/regnet_x_400mf': None,
    'hf/vit': None,
    'hf/dinov2': 56,
    'hf/convnext': None,
    'hf/swin': 224,
    'hf/resnet': None,
    'mmpretrain/resnet18_8xb32_in1k': None,
    'mmpretrain/mobilenet-v2_8xb32_in1k': None,
    'mmpretrain/conformer-tiny-p16_3rdparty_in1k': 224,
    'mmpretrain/swin-tiny_16xb64_in1k': 224,
    'cifar/wrn_16_1': None,
}
STUDENTS = {
    'CNN': dict(type='timm/mobilenetv3_small_050', num_classes=5),
    'ViT': dict(type='timm/vit_tiny_patch16_224', num_classes=5,
                input_size=(3, SIDE, SIDE), depth=4),
    'mixer': dict(type='timm/mixer_s32_224', num_classes=5,
                  input_size=(3, SIDE, SIDE)),
}  # fmt: skip
LOSSES = dict(
    logits=dict(type='KDLoss'),
    feature=dict(type='RKDLoss'),
    maps=dict(type='ATLoss', maps='stages'),
)


def step(teacher, student, losses, **size):
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=student,
            teacher=teacher,
            losses=losses,
            input_size=(3, SIDE, SIDE),
            **size,
        )
    ).train()
    images = torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8)
    data = dict(
        inputs=images,
        data_samples=[DataSample().set_gt_label(i) for i in range(3)],
    )
    losses = model.loss(**model.data_preprocessor(data, True))
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values())
    grad = [p.grad for p in model.student.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in grad)
    return losses


def teachers():
    """Those of the long matrix, of which a few are slow only."""
    slow = {
        'timm/deit_tiny_distilled_patch16_224',
        'timm/convnext_atto',
        'torchvision/mobilenet_v2',
        'hf/vit',
        'mmpretrain/mobilenet-v2_8xb32_in1k',
        'cifar/wrn_16_1',
    }
    for name in TEACHERS:
        mark = pytest.mark.slow if name in slow else pytest.mark.long
        yield pytest.param(name, marks=mark)


@pytest.mark.parametrize('name', teachers())
def test_a_family_teaches_students_of_three(name):
    if name.startswith('hf/'):
        pytest.importorskip('transformers')
    side = TEACHERS[name] or SIDE
    torch.manual_seed(0)
    teacher = dict(type=name, num_classes=5)
    if not name.startswith('cifar/'):
        teacher['pretrained'] = False
    for student in STUDENTS.values():
        got = step(
            teacher, student, LOSSES, teacher_input_size=(3, side, side)
        )
        assert set(got) == {'task', *LOSSES}


def test_an_encoder_has_no_scores():
    """The message names the loss, the teacher and what it has."""
    name = 'timm/vit_small_patch14_dinov2'
    assert model_info(name).num_classes == 0
    teacher = dict(type=name, pretrained=False, depth=2)
    size = dict(teacher_input_size=(3, 56, 56))
    rest = {k: v for k, v in LOSSES.items() if k != 'logits'}
    step(teacher, STUDENTS['CNN'], rest, **size)
    with pytest.raises(ValueError, match=r"logits.*'logits', which the teach"):
        step(teacher, STUDENTS['CNN'], LOSSES, **size)
