"""Networks of other libraries as classifiers, and their files."""

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from mmengine.config import Config
from mmpretrain.structures import DataSample
from torch import nn

from mmdistill.checkpoints import CheckpointError
from mmdistill.models import RepresentationReader
from mmdistill.models.zoo import (
    NetworkBackbone,
    NetworkClassifier,
    WeightsError,
    get_model,
    model_info,
)
from mmdistill.registry import MODELS

SIZE = 64


def network(library, name, **options):
    if library == 'timm':
        return timm.create_model(name, **options).eval()
    return torchvision.models.get_model(name, **options).eval()


@pytest.mark.parametrize('name', ['timm/resnet10t', 'torchvision/resnet18'])
def test_it_answers_as_the_librarys_network(name):
    library, arch = name.split('/')
    theirs = network(library, arch, num_classes=7)
    model = NetworkClassifier(name, num_classes=7).eval()
    model.load_state_dict(model.from_library(theirs.state_dict()))
    images = torch.randn(2, 3, SIZE, SIZE)
    expected = theirs(images)
    torch.testing.assert_close(model(images, mode='tensor'), expected)
    reader = RepresentationReader(model)
    reader.dry_run((3, SIZE, SIZE), with_maps=True)
    reader.numbers = (2, 5)
    seen = reader(images)
    torch.testing.assert_close(seen.logits, expected)
    torch.testing.assert_close(model.head.fc(seen.feature), expected)
    assert [m.shape[1:] for m in seen.maps] == [(64, 16, 16), (512, 2, 2)]
    loss = model.loss(images, [DataSample().set_gt_label(i) for i in (0, 1)])
    loss['loss'].backward()
    assert model.backbone.network.conv1 is not None


def test_its_weights_begin_as_the_library_has_them():
    torch.manual_seed(0)
    theirs = timm.create_model('resnet10t', num_classes=3).state_dict()
    torch.manual_seed(0)
    model = MODELS.build(dict(type='timm/resnet10t', num_classes=3))
    model.init_weights()
    state = model.from_library(theirs)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_files_of_its_library(tmp_path):
    """As a student's start and as a teacher's weights, in two formats."""
    theirs = network('timm', 'resnet10t', num_classes=3)
    files = tmp_path / 'a.safetensors', tmp_path / 'a.pth'
    safetensors.torch.save_file(theirs.state_dict(), files[0])
    torch.save(dict(state_dict=theirs.state_dict()), files[1])
    images = torch.randn(2, 3, SIZE, SIZE)
    for file in files:
        start = dict(type='Pretrained', checkpoint=str(file))
        model = get_model('timm/resnet10t', num_classes=3, init_cfg=start)
        torch.testing.assert_close(model.eval()(images), theirs(images))
        distiller = MODELS.build(
            dict(
                type='OfflineDistiller',
                student='cifar/resnet8',
                teacher=dict(type='timm/resnet10t', num_classes=3),
                teacher_ckpt=str(file),
                losses=dict(rkd=dict(type='RKDLoss')),
                task_weight=0,
            )
        )
        torch.testing.assert_close(distiller.teacher(images), theirs(images))
        other = dict(type='timm/resnet10t', num_classes=4, init_cfg=start)
        with pytest.raises(CheckpointError, match=r'head\.fc\.weight'):
            MODELS.build(other).init_weights()
    files[0].write_bytes(b'nonsense')
    with pytest.raises(CheckpointError, match='no safetensors file'):
        get_model('timm/resnet10t', num_classes=3,
                  init_cfg=dict(type='Pretrained', checkpoint=str(files[0]))
                  )  # fmt: skip


def test_a_backbone_gives_maps_for_detectors():
    backbone = MODELS.build(
        dict(type='NetworkBackbone', network='timm/resnet18',
             out_indices=(1, 2, -1))
    )  # fmt: skip
    maps = backbone(torch.randn(1, 3, SIZE, SIZE))
    assert [m.shape[1] for m in maps] == [64, 128, 512]
    with pytest.raises(ValueError, match='it has 5, from 0'):
        NetworkBackbone('timm/resnet18', out_indices=(5,))


@MODELS.register_module()
class SomeNetwork(nn.Module):
    """Any module: it returns several things."""

    def __init__(self, classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.body = nn.Conv2d(8, 16, 3, 2, 1)
        self.score = nn.Linear(16, classes)

    def forward(self, images):
        stem = self.stem(images).relu()
        body = self.body(stem).relu()
        return dict(scores=self.score(body.mean(dim=(2, 3))), stem=stem)


def test_any_module_with_the_names_of_its_layers():
    cfg = dict(
        type='NetworkClassifier',
        network=dict(type='SomeNetwork'),
        classifier=['score'],
        maps=['stem', 'body'],
        input_size=(3, 32, 32),
    )
    model = MODELS.build(cfg).eval()
    assert model.head.num_classes == 4 and model.head.in_channels == 16
    reader = RepresentationReader(model)
    _, shapes = reader.dry_run((3, 32, 32), with_maps=True)
    assert shapes == {1: (1, 8, 16, 16), 2: (1, 16, 8, 8)}
    with pytest.raises(ValueError, match=r"\['body'\] are no linear layers"):
        MODELS.build(cfg | dict(classifier=['body']))
    with pytest.raises(ValueError, match=r"\['nose'\] are no layers"):
        wrong = RepresentationReader(MODELS.build(cfg | dict(maps=['nose'])))
        wrong.dry_run((3, 32, 32), with_maps=True)
    with pytest.raises(ValueError, match='is none of a library'):
        MODELS.build(cfg | dict(pretrained=True))


@pytest.mark.parametrize('name', ['timm/resnet10t', 'timm/resnet10t.c3_in1k'])
def test_published_weights_that_cannot_be_had(name, monkeypatch):
    """Says where to put a file, at once, and not before training starts."""
    from mmdistill.models.zoo import hub

    hub.can_reach_hub.cache_clear()
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    model = MODELS.build(
        dict(
            type='OfflineDistiller',
            student='cifar/resnet8',
            teacher=name,
            losses=dict(rkd=dict(type='RKDLoss')),
            task_weight=0,
        )
    )
    with pytest.raises(WeightsError, match=r'teacher_ckpt=FILE.*init_cfg'):
        model.init_weights()
    hub.can_reach_hub.cache_clear()


@pytest.mark.parametrize('name', ['torchvision/resnet18', 'cifar/resnet8'])
def test_weights_of_others(name, monkeypatch):
    monkeypatch.setattr(
        'torch.hub.download_url_to_file',
        lambda *_, **__: (_ for _ in ()).throw(OSError('no network')),
    )
    with pytest.raises(WeightsError, match='Put resnet18-.*|train it'):
        get_model(name, pretrained=True)


def test_names_that_begin_as_ours_do():
    """VOLO's own tensors are called ``network.…``."""
    model = NetworkClassifier('timm/volo_d1_224', num_classes=3)
    theirs = timm.create_model('volo_d1_224', num_classes=3).state_dict()
    assert any(key.startswith('network.') for key in theirs)
    renamed = model.from_library(theirs)
    assert renamed.keys() == model.state_dict().keys()
    assert model.from_library(renamed).keys() == renamed.keys()


def test_a_file_that_does_not_normalize(tmp_path):
    """Its images have as many channels as its first convolution takes."""
    model = get_model('timm/resnet10t', num_classes=3)
    cfg = Config(
        dict(
            model=dict(
                type='NetworkClassifier',
                network='timm/resnet10t',
                num_classes=3,
            )
        )
    )
    path = tmp_path / 'student.pth'
    torch.save(dict(meta=dict(cfg=cfg.pretty_text),
                    state_dict=model.state_dict()), path)  # fmt: skip
    info = model_info(str(path))
    assert info.mean == (0.0,) * 3 and info.std == (1.0,) * 3
    assert not info.is_bgr and info.num_classes == 3
