"""Teachers by name in a distiller: what they bring, and what wins."""

import pytest
import torch
from mmpretrain.structures import DataSample

from mmdistill.models.distillers.named_teacher import (
    complete_entry,
    image_size,
)
from mmdistill.models.zoo import ModelInfo
from mmdistill.registry import MODELS

STUDENT = dict(type='timm/mobilenetv3_small_050', num_classes=3)


def teacher(name='timm/vit_tiny_patch16_224', **options):
    return dict(type=name, num_classes=3, pretrained=False, **options)


def batch(side=64):
    return dict(
        inputs=torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(i) for i in range(3)],
    )


def built(**kwargs):
    return MODELS.build(
        dict(
            type='OfflineDistiller',
            student=STUDENT,
            losses=dict(
                kd=dict(type='KDLoss'),
                rkd=dict(type='RKDLoss'),
                at=dict(type='ATLoss', maps='stages'),
            ),
            **kwargs,
        )
    )


def test_size_mean_and_deviation():
    entry = complete_entry(dict(model='timm/vit_tiny_patch16_224'))
    assert entry['input_size'] == (3, 224, 224)
    assert isinstance(entry['preprocessor'], ModelInfo)
    assert entry['model']['pretrained']
    given = complete_entry(
        dict(model='timm/vit_tiny_patch16_224', ckpt='x.pth',
             input_size=(3, 96, 96), preprocessor=dict(mean=[0.0]))
    )  # fmt: skip
    assert given['preprocessor'] == dict(mean=[0.0])
    assert not given['model'].get('pretrained')
    assert given['model']['input_size'] == (3, 96, 96)
    plain = dict(model=dict(type='ImageClassifier'), ckpt=None)
    assert complete_entry(plain) == plain


def test_the_size_of_a_students_images():
    assert image_size((1, 8, 8), 'timm/resnet18') == (1, 8, 8)
    assert image_size(None, dict(type='ImageClassifier')) == (3, 32, 32)
    assert image_size(None, 'torchvision/inception_v3') == (3, 299, 299)
    gray = dict(type='timm/resnet18', in_channels=1)
    assert image_size(None, gray)[0] == 1
    sized = dict(type='timm/resnet18', input_size=(3, 64, 64))
    assert image_size(None, sized) == (3, 64, 64)


def test_it_sees_its_own_size_of_the_students_images():
    model = built(teacher=teacher()).train()
    data = model.data_preprocessor(batch(), True)
    assert data['inputs'].shape[-1] == 64
    assert data['teacher_inputs'].shape[-1] == 224
    losses = model.loss(**data)
    assert set(losses) == {'task', 'kd', 'rkd', 'at'}
    sum(losses.values()).backward()


def test_two_of_different_sizes():
    teachers = dict(
        small=dict(model=teacher('timm/resnet10t'), input_size=(3, 64, 64)),
        vit=dict(model=teacher(input_size=(3, 32, 32))),
    )
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=STUDENT,
            teachers=teachers,
            losses=dict(
                a=dict(type='KDLoss', target='small'),
                b=dict(type='KDLoss', target='vit'),
            ),
        )
    ).train()
    data = model.data_preprocessor(batch(), True)
    assert data['small_inputs'].shape[-1] == 64
    assert data['vit_inputs'].shape[-1] == 32
    sum(model.loss(**data).values()).backward()


def test_it_sees_what_was_drawn_for_the_student():
    """MixUp on the device: a preprocessor of its own could not follow."""
    model = built(
        teacher=teacher('timm/resnet10t'),
        data_preprocessor=dict(
            num_classes=3, to_onehot=True, mean=[127.5] * 3, std=[64.0] * 3,
            batch_augments=dict(augments=[dict(type='Mixup', alpha=0.8)])),
    )  # fmt: skip
    data = model.data_preprocessor(batch(176), True)
    info = model.targets['teacher'].input_size
    seen = data['teacher_inputs']
    assert seen.shape[-1] == info[-1] == 176
    pixels = data['inputs'] * 64 + 127.5
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    torch.testing.assert_close(
        seen, (pixels - mean) / std, atol=1e-4, rtol=1e-4
    )


def test_wrong_classes_are_named():
    with pytest.raises(ValueError, match='model.student.num_classes'):
        built(teacher=teacher() | dict(num_classes=4))


def test_it_teaches_peers_too():
    """Of any scheme: its own size, and the student's where nothing says it."""
    model = MODELS.build(
        dict(
            type='OnlineDistiller',
            student=dict(STUDENT, input_size=(3, 64, 64)),
            num_peers=2,
            mode='network',
            teacher=teacher('timm/resnet10t'),
            losses=dict(dml=dict(type='DMLLoss'), kd=dict(type='KDLoss')),
        )
    ).train()
    data = model.data_preprocessor(batch(), True)
    assert data['teacher_inputs'].shape[-1] == 176
    sum(model.loss(**data).values()).backward()
