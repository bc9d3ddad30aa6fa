"""What is taken from the file of a teacher."""

import pytest
import torch
import torchvision
from digits_encoder import PROTOTYPES, digits_encoder
from helpers import digits_batch, losses_of, tiny_classifier
from offline_distiller import TEACHER, build

from mmdistill.checkpoints import CheckpointError, load_file
from mmdistill.models.distillers.teacher_file import load_teacher
from mmdistill.registry import MODELS


@pytest.fixture
def teacher_file(tmp_path):
    torch.manual_seed(7)
    teacher = MODELS.build(TEACHER)
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), path)
    return path, teacher.state_dict()


def test_teacher_ckpt(teacher_file):
    path, state = teacher_file
    model = build(teacher_ckpt=str(path))
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize('layout', ['plain', 'module', 'distiller'])
def test_teacher_ckpt_layouts(teacher_file, layout, tmp_path):
    path, state = teacher_file
    prefix = dict(plain='', module='module.', distiller='student.')[layout]
    renamed = {prefix + key: value for key, value in state.items()}
    if layout == 'distiller':
        renamed['losses.x.prior'] = torch.ones(3)
    path = tmp_path / 'other.pth'
    torch.save(renamed if layout == 'plain' else dict(state_dict=renamed),
               path)  # fmt: skip
    model = build(teacher_ckpt=str(path))
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, state[name])


def test_teacher_in_torchvisions_layout(tmp_path):
    resnet = torchvision.models.resnet18(num_classes=10).eval()
    torch.save(resnet.state_dict(), tmp_path / 'resnet18.pth')
    teacher = dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=512),
    )
    student = tiny_classifier()
    student['backbone']['in_channels'] = 3
    model = build(
        teacher=teacher,
        student=student,
        teacher_ckpt=str(tmp_path / 'resnet18.pth'),
        input_size=(3, 32, 32),
    )
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model.teacher(images), resnet(images))


def test_missing_teacher_is_an_error_when_training_starts(tmp_path):
    model = build(teacher_ckpt=str(tmp_path / 'nowhere.pth'))
    model(digits_batch()['inputs'], mode='tensor')  # test needs no teacher
    with pytest.raises(FileNotFoundError, match='nowhere.*teacher_ckpt'):
        model.init_weights()
    with pytest.raises(FileNotFoundError, match='teacher_ckpt'):
        losses_of(model, digits_batch())


@pytest.mark.parametrize(
    'teacher, message',
    [
        (tiny_classifier(depth=8, widths=(8, 8, 8, 12)), 'left over'),
        (tiny_classifier(depth=20, widths=(8, 8, 8, 12)), 'missing'),
        (tiny_classifier(depth=14, widths=(8, 8, 8, 16)), 'size mismatch'),
        (
            tiny_classifier(depth=14, widths=(8, 8, 8, 12), classes=7),
            'num_classes',
        ),
    ],
)
def test_teacher_of_another_kind(teacher_file, teacher, message):
    with pytest.raises(CheckpointError, match=message) as error:
        build(teacher=teacher, teacher_ckpt=str(teacher_file[0]))
    assert 'model.teacher' in str(error.value)


ENCODER = digits_encoder(depth=14, widths=(8, 8, 8, 12))

ENCODER = digits_encoder(depth=14, widths=(8, 8, 8, 12))


def saved(tmp_path, cfg):
    path = tmp_path / 'x.pth'
    torch.save(MODELS.build(cfg).state_dict(), path)
    return str(path)


@pytest.mark.parametrize('weight_norm', [False, True])
def test_file_without_prototypes_says_so(tmp_path, weight_norm):
    path = saved(tmp_path, dict(ENCODER, prototypes=None))
    teacher = dict(
        ENCODER, prototypes=dict(PROTOTYPES, weight_norm=weight_norm)
    )
    with pytest.raises(
        CheckpointError,
        match=r'(?s)missing: prototypes.weight \(20, 6\).*has no prototypes'
        r".*model\.teacher_prototypes='new'",
    ):
        load_teacher(MODELS.build(teacher), path)


@pytest.mark.parametrize(
    'cfg', [dict(ENCODER, head=None, prototypes=None),
            digits_encoder(depth=8, widths=(8, 8, 8, 12))],
    ids=['head', 'depth'],
)  # fmt: skip
def test_other_misfits_say_something_else(tmp_path, cfg):
    path = saved(tmp_path, cfg)
    with pytest.raises(CheckpointError, match='must be converted') as error:
        load_teacher(MODELS.build(ENCODER), path)
    assert 'teacher_prototypes' not in str(error.value)


def test_prototypes_are_left_out_where_none_are_wanted(tmp_path):
    path = saved(tmp_path, ENCODER)
    teacher = MODELS.build(dict(ENCODER, prototypes=None))
    load_teacher(teacher, path)
    file = load_file(path)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, file[key])


def test_prototypes_of_two_numbers_name_their_keys(tmp_path):
    student = dict(ENCODER, prototypes=dict(PROTOTYPES, num_prototypes=7))
    with pytest.raises(
        ValueError,
        match=r'gives 7 and the teacher 20; set '
        r'model\.student\.prototypes\.num_prototypes and '
        r'model\.teacher\.prototypes\.num_prototypes alike',
    ):
        MODELS.build(
            dict(
                type='OfflineDistiller',
                student=student,
                teacher=ENCODER,
                losses=dict(cpc=dict(type='ProtoCPCLoss')),
                task_weight=0,
                input_size=(1, 8, 8),
            )
        )


def test_truncated_teacher(teacher_file):
    path = teacher_file[0]
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match=str(path)):
        build(teacher_ckpt=str(path))
