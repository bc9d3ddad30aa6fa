"""Every export of a run answers as the run did, image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from detection_data import TINY, detector
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer
from PIL import Image

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.zoo import get_model, model_info
from mmdistill.predicting import load
from mmdistill.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
SSL_DIGITS, QUICKSTART = CONFIGS / 'ssl_digits', CONFIGS / 'quickstart'

MEAN, STD = [130.0, 90.0, 60.0], [50.0, 60.0, 70.0]  # unlike in every channel

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    """Class folders of pictures whose class is their colour."""
    folder = tmp_path_factory.mktemp('images')
    draw = np.random.default_rng(0)
    for split, count in (('train', 8), ('val', 5)):
        for channel, name in enumerate(('red', 'green', 'blue')):
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                image = draw.integers(0, 160, (16, 24, 3), np.uint8)
                image[..., channel] += np.uint8(80)
                Image.fromarray(image).save(place / f'{i}.png')
    return folder


def loader(images, split):
    return dict(
        batch_size=8,
        num_workers=0,
        dataset=dict(
            type='CustomDataset',
            data_root=str(images),
            data_prefix=split,
            pipeline=PIPELINE,
        ),
        sampler=dict(type='DefaultSampler', shuffle=split == 'train'),
    )


RESNET = dict(type='ResNet', depth=18)

CIFAR = dict(type='CIFARResNet', depth=8, widths=(4, 4, 8, 16))


def classifier(backbone):
    width = 512 if backbone is RESNET else 16
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=width),
    )


def encoder(backbone):
    return dict(
        type='SelfSupervisedEncoder',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ProjectionHead', hidden_dim=8, out_dim=4),
    )


def trained(folder, images, model, distilled, to_rgb, place):
    """A run of one epoch: its runner, and the file of its student."""
    if distilled:
        loss = dict(type='KDLoss')
        if model['type'] == 'SelfSupervisedEncoder':
            loss = dict(type='RKDLoss')
        model = dict(
            type='OfflineDistiller',
            student=model,
            teacher=model,
            task_weight=float(loss['type'] == 'KDLoss'),
            losses=dict(compared=loss),
            input_size=(3, 16, 24),
        )
    preprocessor = dict(mean=MEAN, std=STD, to_rgb=to_rgb)
    cfg = dict(
        default_scope='mmdistill',
        experiment_name=folder.name,
        work_dir=str(folder),
        model=model,
        train_dataloader=loader(images, 'train'),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='ExportStudentHook')],
        randomness=dict(seed=0),
        log_level='WARNING',
    )
    if 'Encoder' not in str(model):
        cfg.update(
            val_dataloader=loader(images, 'val'),
            val_cfg=dict(),
            val_evaluator=dict(type='Accuracy'),
        )
    cfg['test_dataloader'] = loader(images, 'val')
    cfg['test_cfg'], cfg['test_evaluator'] = {}, dict(type='Accuracy')
    if place == 'top':
        cfg['data_preprocessor'] = preprocessor
    else:
        model['data_preprocessor'] = preprocessor
    runner = DistillRunner.from_cfg(Config(cfg))
    runner.train()
    return runner, folder / 'student.pth'


def answers(runner):
    """Paths of the validation images; the run's logits or features."""
    model = runner.model.eval()
    student = getattr(model, 'student', model)
    paths, given = [], []
    for batch in runner.build_dataloader(runner.cfg.test_dataloader):
        paths += [sample.img_path for sample in batch['data_samples']]
        with torch.no_grad():
            inputs = model.data_preprocessor(batch, False)['inputs']
            output = student(inputs, mode='tensor')
        given.append(getattr(output, 'feature', output))
    assert len(paths) == 15
    return paths, torch.cat(given)


def pixels(paths):
    """(N, 3, H, W) float32, RGB, 0 to 255."""
    arrays = [np.asarray(Image.open(path)) for path in paths]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float()


def close(actual, expected):
    torch.testing.assert_close(
        torch.as_tensor(actual), expected, rtol=1e-4, atol=1e-4
    )


NAMES = ['blue', 'green', 'red']


def check_predictor(path, paths, expected):
    """The file by itself, and the run's whole state, say what the run did."""
    for file in (path, path.with_name('epoch_1.pth')):
        student = load(file)
        assert student.kind == 'classifier'
        assert student.classes == tuple(NAMES)
        found = student(paths, batch_size=4)
        close(np.stack([f['scores'] for f in found]), expected.softmax(1))
        assert [f['name'] for f in found] == [
            NAMES[i] for i in expected.argmax(1)
        ]
        # pixels in memory, RGB, are the file's
        again = student(Image.open(path) for path in paths)
        close(np.stack([f['scores'] for f in again]), expected.softmax(1))


def run_onnx(path, batch):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return session.run(None, {'images': batch.numpy()})[0]


EVERY = [
    (distilled, to_rgb, place)
    for distilled in (False, True)
    for to_rgb in (True, False)
    for place in ('top', 'model')
]


@pytest.mark.parametrize('distilled, to_rgb, place', EVERY)
def test_a_classifier(tmp_path, images, main, distilled, to_rgb, place):
    """Its file through MMPretrain, and as a program that normalizes."""
    runner, path = trained(
        tmp_path / 'run', images, classifier(CIFAR), distilled, to_rgb, place
    )
    paths, expected = answers(runner)
    infer = ImageClassificationInferencer(
        Config.fromstring(load_file(path)['meta']['cfg'], '.py'), str(path)
    )
    found = infer(paths)
    close(np.stack([f['pred_scores'] for f in found]), expected.softmax(1))
    assert [f['pred_class'] for f in found] == [
        NAMES[i] for i in expected.argmax(1)
    ]
    check_predictor(path, paths, expected)
    # The size is the file's: no --input-size.
    out = tmp_path / 'out.pt2'
    main('export_student', path, out, '--format', 'torch-export',
         '--with-preprocessing')  # fmt: skip
    program = torch.export.load(out).module()
    close(program(pixels(paths)), expected)


@pytest.mark.parametrize(
    'name, distilled, place',
    [
        ('timm/resnet10t', False, 'top'),
        ('timm/resnet10t', True, 'model'),
        ('torchvision/shufflenet_v2_x0_5', True, 'top'),
        ('cifar/resnet8', False, 'model'),
    ],
)
def test_a_student_by_name(tmp_path, images, main, name, distilled, place):
    """Of another library; what its file says is enough to build it again."""
    model = dict(type=name, num_classes=3)
    if 'cifar' not in name:
        model.update(pretrained=False, input_size=(3, 32, 32))
    runner, path = trained(
        tmp_path / 'run', images, model, distilled, True, place
    )
    paths, expected = answers(runner)
    stored = Config.fromstring(load_file(path)['meta']['cfg'], '.py')
    assert 'pretrained' not in stored.model
    found = ImageClassificationInferencer(stored, str(path))(paths)
    close(np.stack([f['pred_scores'] for f in found]), expected.softmax(1))
    out = tmp_path / 'out.pt2'
    main('export_student', path, out, '--format', 'torch-export',
         '--with-preprocessing')  # fmt: skip
    close(torch.export.load(out).module()(pixels(paths)), expected)
    check_predictor(path, paths, expected)
    # The file stands for a model, too: its weights, size and preprocessor.
    again = get_model(str(path)).eval()
    batch = again.data_preprocessor(dict(inputs=pixels(paths).flip(1)), False)
    with torch.no_grad():
        close(again(batch['inputs']), expected)
    info = model_info(str(path))
    assert info.size == (16, 24) and info.classes == ('blue', 'green', 'red')
    assert info.mean == tuple(MEAN)


@pytest.mark.slow
@pytest.mark.parametrize(
    'distilled, to_rgb, place', [(False, False, 'top'), (True, True, 'top')]
)
def test_a_classifier_of_torchvision(
    tmp_path, images, main, capsys, distilled, to_rgb, place
):
    """ONNX that normalizes inside, and torchvision's network, normalized."""
    runner, path = trained(
        tmp_path / 'run', images, classifier(RESNET), distilled, to_rgb, place
    )
    paths, expected = answers(runner)
    rgb = pixels(paths)
    out = tmp_path / 'out.onnx'
    main('export_student', path, out, '--format', 'onnx',
         '--with-preprocessing')  # fmt: skip
    close(run_onnx(out, rgb), expected)

    out = tmp_path / 'out.pth'
    main('export_student', path, out, '--format', 'torchvision', '--arch',
         'resnet18')  # fmt: skip
    said = capsys.readouterr().out
    order = 'RGB' if to_rgb else 'BGR (turn RGB round)'
    assert f'images are taken {order}, 0 to 255, minus {MEAN}' in said
    network = torchvision.models.resnet18(num_classes=3).eval()
    network.load_state_dict(torch.load(out, weights_only=True))
    taken = rgb if to_rgb else rgb.flip(1)
    mean, std = (torch.tensor(x).view(-1, 1, 1) for x in (MEAN, STD))
    with torch.no_grad():
        close(network((taken - mean) / std), expected)


@pytest.mark.parametrize('to_rgb, place', [(True, 'top'), (False, 'model')])
def test_an_encoder(tmp_path, images, main, to_rgb, place):
    runner, path = trained(
        tmp_path / 'run', images, encoder(CIFAR), True, to_rgb, place
    )
    paths, expected = answers(runner)
    out = tmp_path / 'out.pt2'
    main('export_student', path, out, '--format', 'torch-export',
         '--with-preprocessing')  # fmt: skip
    close(torch.export.load(out).module()(pixels(paths)), expected)
    for file in (path, path.with_name('epoch_1.pth')):
        student = load(file)
        assert student.kind == 'encoder'
        close(student.embed(paths), expected)
        close(np.stack([x['feature'] for x in student(paths)]), expected)


def features(preprocessor, network, images):
    inputs = [images[i]['inputs'] for i in range(len(images))]
    with torch.no_grad():
        data = preprocessor(dict(inputs=inputs), False)
        return network(data['inputs'], mode='tensor').feature


def test_an_encoder_that_learned_alone(tmp_path, main):
    """Its run cuts crops on the device, and judges by k-NN."""
    cfg = Config.fromfile(SSL_DIGITS / 'student_dino.py')
    cfg.merge_from_dict(
        {
            'work_dir': str(tmp_path / 'run'),
            'train_cfg.max_epochs': 1,
            'train_dataloader.dataset.dataset.indices': 128,
            'param_scheduler': None,
            'log_level': 'WARNING',
        }
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    model = runner.model.eval()
    data = cfg.test_dataloader.dataset | dict(indices=20)
    images = DATASETS.build(data)
    expected = features(model.data_preprocessor, model.student, images)
    path = tmp_path / 'run' / 'student.pth'
    # Its only epoch was its best: both files hold the same weights.
    for file in map(load_file, (path, path.with_name('student_best.pth'))):
        own = Config.fromstring(file['meta']['cfg'], '.py')
        alone = MODELS.build(own.model).eval()
        alone.load_state_dict(file['state_dict'])
        pipeline = own.test_dataloader.dataset.pipeline
        images = DATASETS.build({**data, 'pipeline': pipeline})
        arrays = [images.get_data_info(i)['img'] for i in range(len(images))]
        assert arrays[0].shape == (8, 8, 1)
        close(load(tmp_path / 'run' / 'student.pth').embed(arrays), expected)
        close(features(alone.data_preprocessor, alone, images), expected)
    out = tmp_path / 'out.pt2'
    main('export_student', path, out, '--format', 'torch-export',
         '--with-preprocessing')  # fmt: skip
    program = torch.export.load(out).module()
    close(program(torch.stack([x['inputs'] for x in images]).float()),
          expected)  # fmt: skip


def test_the_quick_starts_student(tmp_path):
    """Of 8x8 arrays of one channel: on these, and on pictures of them."""
    cfg = Config.fromfile(QUICKSTART / 'student_digits.py')
    cfg.merge_from_dict(
        {
            'work_dir': str(tmp_path / 'run'),
            'train_cfg.max_iters': 20,
            'train_cfg.val_interval': 20,
            'log_level': 'WARNING',
        }
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    digits = runner.val_dataloader.dataset
    arrays = [digits.get_data_info(i)['img'] for i in range(60)]
    batch = [torch.from_numpy(x).permute(2, 0, 1) for x in arrays]
    model = runner.model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(dict(inputs=torch.stack(batch)), False)
        expected = model(data['inputs']).softmax(1)
    student = load(tmp_path / 'run' / 'student.pth')
    assert student.classes == tuple('0123456789')
    assert student.input_size == (8, 8)
    paths = [tmp_path / f'{i}.png' for i in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array[..., 0]).save(path)
    for images in (arrays, batch, paths):
        found = student(images)
        close(np.stack([f['scores'] for f in found]), expected)
    assert len({f['label'] for f in found}) > 3


@pytest.mark.parametrize('kind', ['FasterRCNN', 'FCN'])
@pytest.mark.parametrize('place', ['top', 'model', 'nowhere'])
def test_a_detector_and_a_segmentor(kind, place):
    """What the file alone builds is prepared as the run's model is."""
    from mmdistill.export import student_checkpoint
    from mmdistill.registry import MODELS

    model = dict(type=kind, backbone=TINY, num_classes=3)
    if kind == 'FasterRCNN':
        model = detector()
    cfg = dict(model=model, train_dataloader=dict())
    if place == 'top':
        cfg['data_preprocessor'] = dict(type='DetectionPreprocessor')
    elif place == 'model':
        model['data_preprocessor'] = dict()
    built = MODELS.build(model)
    file = student_checkpoint(built, Config(cfg))
    rebuilt = MODELS.build(Config.fromstring(file['meta']['cfg'], '.py').model)
    rebuilt.load_state_dict(file['state_dict'])
    batch = [torch.randint(0, 256, (3, 40, 48), dtype=torch.uint8)]
    outputs = []
    for network in (built.eval(), rebuilt.eval()):
        inputs = network.data_preprocessor(dict(inputs=batch))['inputs']
        with torch.no_grad():
            outputs.append(network(inputs, mode='tensor'))
    torch.testing.assert_close(*outputs)


def test_a_file_that_does_not_know_says_so(tmp_path, main, capsys):
    """As earlier versions wrote those of plain classifiers."""
    from mmdistill.export.students import ExportError
    from mmdistill.registry import MODELS

    cfg = Config(dict(model=classifier(CIFAR), default_scope='mmdistill'))
    model = MODELS.build(cfg.model)
    path, out = tmp_path / 'student.pth', tmp_path / 'out.pt2'
    state = dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text))
    torch.save(state, path)
    options = [path, out, '--format', 'torch-export', '--input-size', 16, 16]
    with pytest.raises(ExportError, match='does not say how.*--config'):
        main('export_student', *options, '--with-preprocessing')
    with pytest.raises(ExportError, match='does not say how.*--config'):
        main('export_student', path, tmp_path / 'out.pth', '--format',
             'mmpretrain')  # fmt: skip
    assert not out.exists()
    main('export_student', *options)
    assert 'does not say how images were normalized' in capsys.readouterr().out

    # the run's own config is believed, also where it names none
    training = tmp_path / 'training.py'
    cfg.train_dataloader = dict()
    cfg.dump(training)
    main('export_student', *options, '--with-preprocessing', '--config',
         training)  # fmt: skip
    assert 'as they are, 0 to 255' in capsys.readouterr().out
    cfg.data_preprocessor = dict(mean=MEAN, std=STD)
    cfg.dump(training)
    main('export_student', *options, '--with-preprocessing', '--config',
         training)  # fmt: skip
    assert f'minus {MEAN}, over {STD}' in capsys.readouterr().out
