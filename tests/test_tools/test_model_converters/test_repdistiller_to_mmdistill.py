"""Converters, given files in the authors' layouts."""

from __future__ import annotations

from argparse import Namespace
from fractions import Fraction

import pytest
import torch
from mmengine.config import Config
from reference_networks import NETWORKS, Reference

from mmdistill.checkpoints import CheckpointError, load_file, trust_checkpoints
from mmdistill.models.backbones import cifar_classifier
from mmdistill.models.distillers.teacher_file import load_teacher
from mmdistill.registry import MODELS

FAMILIES = (
    'resnet8',
    'resnet8x4',
    'wrn_16_1',
    'vgg8',
    'ResNet50',
    'MobileNetV2',
    'ShuffleV1',
    'ShuffleV2',
)


@pytest.fixture
def convert(main):
    def call(*options):
        main('model_converters/repdistiller_to_mmdistill', *options)

    yield call
    trust_checkpoints(False)


@pytest.fixture
def published(tmp_path):
    """Writes a file as RepDistiller does, and gives it and its network."""

    def write(name, num_classes=100, rename=str, zipped=True, **others):
        network = Reference(NETWORKS[name], num_classes).randomise()
        state = {rename(k): v for k, v in network.state().items()}
        path = tmp_path / f'{name}_vanilla' / 'ckpt_epoch_240.pth'
        path.parent.mkdir()
        torch.save(
            {
                'epoch': 240,
                'model': state,
                'accuracy': torch.tensor(72.5),
                **others,
            },
            path,
            _use_new_zipfile_serialization=zipped,
        )
        return path, network

    return write


def logits_of(path, image):
    """Of a converted file, rebuilt from nothing but the file."""
    checkpoint = load_file(path)
    cfg = Config.fromstring(checkpoint['meta']['cfg'], '.py')
    assert cfg.default_scope == 'mmdistill'
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    with torch.no_grad():
        return model(image, mode='tensor')


@pytest.mark.parametrize('name', FAMILIES)
def test_there_and_back(name, convert, published, tmp_path):
    # the published files are from 2019: no zip
    source, network = published(name, zipped=False)
    ours, theirs = tmp_path / 'new' / 'ours.pth', tmp_path / 'theirs.pth'
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(image)[2]

    convert(source, ours, '--arch', name)
    torch.testing.assert_close(logits_of(ours, image), expected)

    teacher = MODELS.build(cifar_classifier(name)).eval()
    load_teacher(teacher, str(ours))
    with torch.no_grad():
        torch.testing.assert_close(teacher(image, mode='tensor'), expected)

    convert(ours, theirs, '--arch', name, '--reverse')
    back, original = load_file(theirs)['model'], network.state()
    assert set(back) == set(original)
    for key, value in original.items():
        assert torch.equal(back[key], value), key
        assert back[key].dtype == value.dtype


def test_other_numbers_of_classes(convert, published, tmp_path):
    source, network = published('resnet8', num_classes=7)
    target = tmp_path / 'ours.pth'
    for options in ((), ('--num-classes', 7)):
        convert(source, target, '--arch', 'resnet8', *options)
        image = torch.rand(1, 3, 32, 32)
        torch.testing.assert_close(logits_of(target, image), network(image)[2])
    with pytest.raises(
        CheckpointError, match=r'(?s)head.fc.weight.*resnet8 with 7 classes'
    ):
        convert(source, target, '--arch', 'resnet8', '--num-classes', 10)


def test_wrappers_and_old_versions(convert, published, tmp_path):
    """DDP's prefix; torch < 0.4.1 did not count batches."""
    source, network = published('wrn_16_1', rename=lambda k: f'module.{k}')
    content = load_file(source)
    content['model'] = {
        key: value
        for key, value in content['model'].items()
        if not key.endswith('num_batches_tracked')
    }
    torch.save(content, source)
    target = tmp_path / 'ours.pth'
    convert(source, target, '--arch', 'wrn_16_1')
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(logits_of(target, image), network(image)[2])


def test_student_of_a_distiller_goes_back(convert, published, tmp_path):
    source, network = published('ShuffleV1')
    ours, theirs = tmp_path / 'ours.pth', tmp_path / 'theirs.pth'
    convert(source, ours, '--arch', 'ShuffleV1')
    state = load_file(ours)['state_dict']
    full = {f'student.{key}': value for key, value in state.items()}
    full['losses.kd.bank'] = torch.zeros(3)
    torch.save(dict(state_dict=full, meta={}), ours)
    convert(ours, theirs, '--arch', 'ShuffleV1', '--reverse')
    back = load_file(theirs)['model']
    for key, value in network.state().items():
        assert torch.equal(back[key], value), key


@pytest.mark.parametrize(
    ('holds', 'given'),
    [('resnet8', 'resnet14'), ('resnet8x4', 'resnet8'),
     ('wrn_16_1', 'resnet20'), ('vgg8', 'MobileNetV2'),
     ('ShuffleV2', 'ShuffleV1')],
)  # fmt: skip
def test_wrong_architecture_names_the_right_one(
    holds, given, convert, published, tmp_path
):
    source, _ = published(holds, num_classes=10)
    target = tmp_path / 'ours.pth'
    with pytest.raises(CheckpointError) as error:
        convert(source, target, '--arch', given)
    assert str(source) in str(error.value)
    assert f'give --arch {holds}, --num-classes 10 or' in str(error.value)
    assert 'no --reverse' in str(error.value)
    assert not target.exists()


def test_wrong_direction(convert, published, tmp_path):
    source, _ = published('vgg8')
    ours, target = tmp_path / 'ours.pth', tmp_path / 'target.pth'
    with pytest.raises(CheckpointError, match="RepDistiller's.*no --reverse"):
        convert(source, target, '--arch', 'vgg8', '--reverse')
    convert(source, ours, '--arch', 'vgg8')
    with pytest.raises(CheckpointError, match='in our layout.* and --reverse'):
        convert(ours, target, '--arch', 'vgg8')
    assert not target.exists()


def test_file_of_another_project(convert, tmp_path):
    source, target = tmp_path / 'other.pth', tmp_path / 'ours.pth'
    for weight in (torch.zeros(3, 3), torch.zeros(())):
        torch.save({'model': {'fc.weight': weight}}, source)
        with pytest.raises(CheckpointError, match=r'no network of.*resnet8\)'):
            convert(source, target, '--arch', 'resnet8')
    torch.save({'model': {}}, source)
    with pytest.raises(CheckpointError, match='empty'):
        convert(source, target, '--arch', 'resnet8')
    assert not target.exists()


def test_more_tensors_than_the_network(convert, published, tmp_path):
    source, _ = published('resnet8')
    content = load_file(source)
    content['model']['layer4.conv1.weight'] = torch.zeros(3)
    torch.save(content, source)
    with pytest.raises(CheckpointError, match='left over: backbone.layer4'):
        convert(source, tmp_path / 'ours.pth', '--arch', 'resnet8')


@pytest.mark.parametrize('zipped', [True, False])
def test_truncated_file(zipped, convert, published, tmp_path):
    source, _ = published('resnet8', zipped=zipped)
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) * 2 // 3])
    target = tmp_path / 'ours.pth'
    target.write_bytes(b'as before')
    with pytest.raises(CheckpointError, match='truncated'):
        convert(source, target, '--arch', 'resnet8')
    assert target.read_bytes() == b'as before'
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        'ours.pth'
    ]


def test_missing_file(convert, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        convert(tmp_path / 'nowhere.pth', tmp_path / 'x.pth', '--arch', 'vgg8')


def test_last_files_hold_arguments(convert, published, tmp_path):
    """RepDistiller's *_last.pth hold the parsed ones, which are data."""
    source, network = published('resnet8', opt=Namespace(model='resnet8'))
    target = tmp_path / 'ours.pth'
    convert(source, target, '--arch', 'resnet8')
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(logits_of(target, image), network(image)[2])


def test_other_objects_need_trust(convert, published, tmp_path):
    source, network = published('resnet8', opt=Fraction(1, 2))
    target = tmp_path / 'ours.pth'
    with pytest.raises(CheckpointError, match='--trust-checkpoints'):
        convert(source, target, '--arch', 'resnet8')
    convert(source, target, '--arch', 'resnet8', '--trust-checkpoints')
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(logits_of(target, image), network(image)[2])


@pytest.mark.parametrize(
    ('name', 'message'),
    [('wrn_40_3', 'mean wrn_40_'), ('densenet_40_12', 'RepDistiller has no')],
)
def test_unknown_architecture(name, message, convert, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / 'a.pth', tmp_path / 'b.pth', '--arch', name)
