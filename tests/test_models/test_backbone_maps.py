"""Backbones that hold their classifier themselves, Inception-v3 above all."""

import pytest
import torch
import torchvision
from helpers import tiny_classifier
from mmpretrain.structures import DataSample

from mmdistill.checkpoints import CheckpointError
from mmdistill.models import RepresentationReader
from mmdistill.registry import MODELS


def classifier(backbone='InceptionV3', classes=2, **kwargs):
    return dict(
        type='ImageClassifier',
        backbone=dict(type=backbone, num_classes=classes, **kwargs),
        head=dict(type='ClsHead'),
    )


#: config, image size, width of the feature, maps (channels and side)
NETWORKS = {
    'inception': (
        classifier(aux_logits=True),
        (3, 107, 107),
        2048,
        [(64, 51), (192, 23), (288, 11), (768, 5), (2048, 2)],
    ),
    'alexnet': (
        classifier('AlexNet'),
        (3, 224, 224),
        4096,
        [(64, 55), (192, 27), (256, 13), (256, 6)],
    ),
}


@pytest.fixture(params=NETWORKS, ids=str)
def case(request):
    cfg, size, width, maps = NETWORKS[request.param]
    return RepresentationReader(MODELS.build(cfg).eval()), size, width, maps


def test_the_feature_is_what_the_last_linear_layer_sees(case):
    reader, size, width, maps = case
    model = reader.model
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
    images = torch.rand(2, *size)
    _, shapes = reader.dry_run(size, with_maps=True)
    assert shapes == {n: (1, c, s, s) for n, (c, s) in enumerate(maps, 1)}
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    for numbers in ((), tuple(shapes)):
        reader.numbers = numbers
        got = reader(images)
        assert got.feature.shape == (2, width)
        expected = model(images, mode='tensor')
        torch.testing.assert_close(got.logits, expected)
        torch.testing.assert_close(linear(got.feature), expected)
        assert [tuple(m.shape[1:3]) for m in got.maps] == (
            maps if numbers else []
        )
    assert len(calls) == 4  # one a reading, one a prediction
    assert not linear._forward_hooks


def test_the_last_map_pooled_is_the_feature():
    reader = RepresentationReader(MODELS.build(classifier()).eval())
    reader.dry_run((3, 139, 139), with_maps=True)
    reader.numbers = (5,)
    got = reader(torch.rand(2, 3, 139, 139))
    pooled = got.maps[0].mean(dim=(2, 3))
    torch.testing.assert_close(got.feature, pooled)


@MODELS.register_module()
class ScoresByConvolution(torch.nn.Module):
    """A backbone whose scores no linear layer gives."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 10, 3)

    def forward(self, x):
        return (self.conv(x).mean(dim=(2, 3)),)


#: Of an Inception-v3 beside a student of small images.
SMALLEST = dict(teacher_input_size=(3, 75, 75))


def distiller(teacher, losses, **kwargs):
    return MODELS.build(
        dict(
            type='OfflineDistiller',
            student=tiny_classifier(),
            teacher=teacher,
            losses=losses,
            data_preprocessor=dict(mean=[0.0], std=[1.0]),
            input_size=(1, 8, 8),
            **kwargs,
        )
    )


def test_scores_are_no_feature():
    teacher = dict(
        type='ImageClassifier',
        backbone=dict(type='ScoresByConvolution'),
        head=dict(type='ClsHead'),
    )
    distiller(teacher, dict(kd=dict(type='KDLoss')))
    with pytest.raises(ValueError, match="'feature', which the teacher"):
        distiller(teacher, dict(rkd=dict(type='RKDLoss')))


def test_another_number_of_classes_names_the_key():
    with pytest.raises(
        ValueError, match=r'model\.teacher\.backbone\.num_classes'
    ):
        distiller(
            classifier(classes=3),
            dict(kd=dict(type='KDLoss')),
            **SMALLEST,
        )


LOSSES = dict(
    kd=dict(type='KDLoss'),
    crd=dict(type='CRDLoss', num_negatives=4),
    gckt=dict(type='GCKTLoss', num_negatives=4),
    at=dict(type='ATLoss', maps=[-1]),
)


@pytest.mark.parametrize('size', [32, 64])
def test_it_teaches_a_resnet8x4_that_sees_less(size):
    student = dict(
        type='ImageClassifier',
        backbone=dict(type='CIFARResNet', depth=8, widths=(32, 64, 128, 256)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=2, in_channels=256),
    )
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student=student,
            teacher=classifier(aux_logits=True),
            losses=LOSSES,
            data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
            teacher_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
            input_size=(3, size, size),
            teacher_input_size=(3, 139, 139),
        )
    ).train()
    critic = model.losses.gckt
    assert critic.embed_student.in_features == 256
    assert critic.embed_teacher.in_features == 2048
    model.set_training_set(8, torch.arange(8) % 2)
    samples = [
        DataSample(metainfo=dict(sample_idx=i)).set_gt_label(i % 2)
        for i in range(4)
    ]
    data = model.data_preprocessor(
        dict(
            inputs=torch.rand(4, 3, size, size) * 255,
            teacher_inputs=torch.rand(4, 3, 139, 139) * 255,
            data_samples=samples,
        ),
        True,
    )
    losses = model(**data, mode='loss')
    assert losses.keys() == {'task', *LOSSES}
    sum(losses.values()).backward()
    for name, parameter in model.student.named_parameters():
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('aux_logits', [False, True])
@pytest.mark.parametrize('layout', ['torchvision', 'mmpretrain'])
def test_torchvisions_inception_answers_alike(tmp_path, layout, aux_logits):
    """Its published weights take images that are normalized by 127.5."""
    network = torchvision.models.inception_v3(
        weights=None, num_classes=2, init_weights=False, transform_input=True
    ).eval()
    state = network.state_dict()
    if layout == 'mmpretrain':
        state = {f'backbone.{key}': value for key, value in state.items()}
    torch.save(state, tmp_path / 'inception.pth')
    model = distiller(
        classifier(aux_logits=aux_logits),
        {},
        teacher_ckpt=str(tmp_path / 'inception.pth'),
        **SMALLEST,
    )
    pixels = torch.rand(2, 3, 75, 75)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = network((pixels - mean) / std)
        got = model.teacher((pixels * 255 - 127.5) / 127.5)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_a_file_of_other_classes_names_the_key(tmp_path):
    state = MODELS.build(classifier(classes=3)).backbone.state_dict()
    torch.save(state, tmp_path / 'inception.pth')
    with pytest.raises(
        CheckpointError, match=r'model\.teacher\.backbone\.num_classes'
    ):
        distiller(
            classifier(),
            {},
            teacher_ckpt=str(tmp_path / 'inception.pth'),
            **SMALLEST,
        )


def test_training_starts_from_the_published_file(tmp_path):
    """All but the classifiers, of 1000 classes and the auxiliary one."""
    network = torchvision.models.inception_v3(
        weights=None, num_classes=3, init_weights=False
    )
    path = str(tmp_path / 'inception.pth')
    torch.save(network.state_dict(), path)
    init = dict(type='Pretrained', checkpoint=path, partial=True)
    model = MODELS.build(classifier(init_cfg=init))
    model.init_weights()
    theirs = network.state_dict()
    for name, value in model.backbone.state_dict().items():
        assert name.startswith('fc.') or torch.equal(value, theirs[name])
