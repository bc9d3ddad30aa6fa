"""From an author's file to a student's accuracy, as a user would go."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from reference_encoders import SwAV, in_ddp, randomise

from mmdistill.checkpoints import load_file
from mmdistill.models.encoders import swav_resnet50
from mmdistill.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
NARROW = dict(stem_channels=4, base_channels=4)
HEAD = dict(hidden_dim=24, out_dim=10)
PROTOTYPES = dict(num_prototypes=30)
ENCODER = dict(backbone=NARROW, head=HEAD, prototypes=PROTOTYPES)
DATA = """
loader = dict(batch_size=8, num_workers=0, dataset=dict(
    data_root='imagenet', metainfo=dict(classes=('a', 'b', 'c'))))
train_dataloader = val_dataloader = test_dataloader = loader
"""
KNN = """
val_cfg = test_cfg = dict(k=(20,), bank_dataloader=loader)
"""
CROPS = """
pipeline = _base_.train_pipeline
pipeline[1].update(global_size=32, local_size=16)
train_dataloader = dict(
    loader, dataset=dict(loader['dataset'], pipeline=pipeline))
train_cfg = dict(max_epochs=1, val_interval=1)
"""


def images(folder):
    """Class folders of small images of three colours."""
    draw = np.random.default_rng(0)
    for split, number in (('train', 8), ('val', 3)):
        for channel in range(3):
            path = folder / 'imagenet' / split / f'n{channel}'
            path.mkdir(parents=True)
            for i in range(number):
                image = draw.integers(0, 90, (40, 36, 3), np.uint8)
                image[..., channel] += 150
                Image.fromarray(image).save(path / f'n{channel}_{i}.JPEG')


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes a leaf made small into the current folder, which has images."""
    images(tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(leaf, model, *text):
        path = tmp_path / f'{Path(leaf).stem}.py'
        base = f"_base_ = ['{CONFIGS / leaf}.py']\nmodel = {model}\n"
        path.write_text(base + DATA + ''.join(text))
        return path

    return call


def test_from_the_authors_file_to_a_probe(main, config, tmp_path):
    network = randomise(SwAV(4, prototypes=30, hidden=24, dim=10))
    torch.save(in_ddp(network), 'authors.pth')
    encoder = swav_resnet50()
    for part, change in ENCODER.items():
        encoder[part].update(change)
    Config(dict(model=encoder)).dump('encoder.py')
    main(
        'model_converters/self_supervised_to_mmdistill',
        *('authors.pth', 'swav.pth', '--config', 'encoder.py'),
    )

    # the student learns from it, by the prototypes of the file
    model = dict(student=ENCODER, teacher=ENCODER, teacher_ckpt='swav.pth',
                 input_size=(3, 32, 32))  # fmt: skip
    name = 'protocpc_multicrop_swav_resnet50_resnet18_in1k'
    leaf = config(f'protocpc_ssl/{name}', model, KNN, CROPS)
    main('train', leaf, '--work-dir', 'student')
    student = load_file('student/student.pth')['state_dict']
    assert student['prototypes.weight'].shape == (30, 10)
    full = load_file('student/epoch_1.pth')['state_dict']
    assert not any(key.startswith('teacher') for key in full)

    # k-NN of the full checkpoint, of the export and of the teacher
    results = {}
    for tested, depth, file in (
        (leaf, 18, 'student/epoch_1.pth'),
        ('evaluation/knn_resnet18_in1k', 18, 'student/student.pth'),
        ('evaluation/knn_resnet50_in1k', 50, 'swav.pth'),
    ):
        if isinstance(tested, str):
            tested = config(
                tested,
                dict(backbone=NARROW),
                KNN,
                'train_dataloader = None\n',
            )
        out = f'{depth}.json'
        main('test', tested, file, '--out', out, '--out-item', 'metrics')
        results[file] = json.loads(Path(out).read_text())
    of_student = [results[f'student/{f}.pth'] for f in ('epoch_1', 'student')]
    assert of_student[0] == of_student[1]
    assert results['swav.pth']['knn/top1_k20'] == 100

    # and a linear classifier on the student's backbone
    model = dict(backbone=NARROW, head=dict(in_channels=32))
    leaf = config('evaluation/linear_resnet18_in1k', model)
    main(
        'train', leaf, '--work-dir', 'probe', '--cfg-options',
        'model.checkpoint=student/student.pth', 'train_cfg.max_epochs=1',
    )  # fmt: skip
    probe = load_file('probe/epoch_1.pth')['state_dict']
    for key, value in probe.items():
        if key.startswith('backbone.'):
            assert torch.equal(value, student[key]), key


def test_dinos_probe_of_the_momentum_copy(main, config, tmp_path):
    """Four joined class tokens of the teacher in a full checkpoint."""
    torch.manual_seed(0)
    arch = dict(
        embed_dims=12, num_layers=5, num_heads=2, feedforward_channels=16
    )
    probe = dict(
        backbone=dict(arch=arch, out_indices=(1, 2, 3, 4)),
        head=dict(in_channels=4 * 12),
        part='teacher',
        checkpoint='epoch_100.pth',
    )
    path = config('evaluation/linear_dino_deit_small_in1k', probe)
    cfg = Config.fromfile(path)
    assert cfg.optim_wrapper.optimizer.to_dict() == dict(
        type='SGD', lr=0.001 * 1024 / 256, momentum=0.9, weight_decay=0.0
    )
    backbone = dict(
        cfg.model.backbone, type='VisionTransformer', out_type='cls_token'
    )
    backbone.pop('out_indices')
    networks = {
        part: MODELS.build(dict(backbone)) for part in ('student', 'teacher')
    }
    networks['teacher'].eval()
    torch.save(
        dict(
            state_dict={
                f'{part}.backbone.{key}': value
                for part, network in networks.items()
                for key, value in network.state_dict().items()
            }
        ),
        'epoch_100.pth',
    )
    main('train', path, '--work-dir', 'run', '--cfg-options',
         'train_cfg.max_epochs=1', 'log_level=WARNING')  # fmt: skip

    state = load_file('run/epoch_1.pth')['state_dict']
    for key, value in networks['teacher'].state_dict().items():
        assert torch.equal(state[f'backbone.{key}'], value), key
    # what was learnt from is the last token, and three before it
    model = MODELS.build(cfg.model.to_dict()).eval()
    model.load_state_dict(state)
    images = torch.randn(2, 3, 224, 224)
    (feature,) = model.extract_feat(images)
    assert feature.shape == (2, 4 * 12)
    with torch.no_grad():
        last = networks['teacher'](images)[0]
    torch.testing.assert_close(feature[:, -12:], last)
    scores = torch.nn.functional.linear(
        feature, state['head.fc.weight'], state['head.fc.bias']
    )
    torch.testing.assert_close(model(images), scores)

    # the file that it leaves answers as the run did
    results = []
    for file in ('epoch_1', 'student'):
        out = f'{file}.json'
        main('test', path, f'run/{file}.pth', '--out', out, '--out-item',
             'metrics')  # fmt: skip
        results.append(json.loads(Path(out).read_text()))
    assert results[0] == results[1]
