"""tools/export_student.py on files as trainings leave them."""

import json
import os
import sys

import pytest
import torch
import torchvision
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from mmdistill.checkpoints import (
    CheckpointError,
    atomic_save,
    load_file,
    trust_checkpoints,
)
from mmdistill.export import ExportError, load_student, student_checkpoint
from mmdistill.registry import EXPORT_FORMATS, MODELS

LINEAR = dict(type='LinearClsHead', num_classes=3, in_channels=512)
RESNET = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=LINEAR,
)
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=72, edge='short'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
NORMALISED = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0])


@pytest.fixture
def export(main):
    yield lambda *options: main('export_student', *options)
    trust_checkpoints(False)


PLUGIN = 'SEEN = True'


def cifar(name='CIFARResNet', **kwargs):
    backbone = dict(type=name, **(kwargs or dict(depth=8)))
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(LINEAR, in_channels=64),
    )


def config(student=RESNET, size=64, **kwargs):
    """Of a distillation; the teacher's file is long gone."""
    return Config(
        dict(
            default_scope='mmdistill',
            model=dict(
                type='OfflineDistiller',
                student=student,
                teacher=student,
                teacher_ckpt='gone.pth',
                losses=dict(kd=dict(type='KDLoss')),
                input_size=(3, size, size),
            ),
            data_preprocessor=dict(**NORMALISED, to_rgb=True),
            test_dataloader=dict(dataset=dict(pipeline=PIPELINE)),
            **kwargs,
        )
    )


def build(cfg):
    """The distiller as a runner builds it, a little trained."""
    model = cfg.model.to_dict()
    if 'teacher_ckpt' in model:
        model['teacher_ckpt'] = None
    model = MODELS.build(dict(model, data_preprocessor=cfg.data_preprocessor))
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return model.eval()


@pytest.fixture
def files(tmp_path):
    """A full checkpoint with its config, the student's export, the student."""

    def write(cfg):
        model = build(cfg)
        full, exported = tmp_path / 'epoch_1.pth', tmp_path / 'student.pth'
        meta = dict(
            cfg=cfg.pretty_text, epoch=1, dataset_meta=dict(classes=('a',))
        )
        state = dict(state_dict=model.state_dict(), meta=meta)
        atomic_save(state, full)
        atomic_save(student_checkpoint(model, cfg), exported)
        return full, exported, model.student

    return write


def answer(model, images):
    with torch.no_grad():
        return model.eval()(images)


def logits(student, images):
    with torch.no_grad():
        return student(images, mode='tensor')


@pytest.mark.parametrize('which, library', [(0, 'torchvision'), (1, 'timm')])
def test_libraries(files, export, tmp_path, capsys, which, library):
    *paths, student = files(config())
    out = tmp_path / 'new' / 'out.pth'
    export(paths[which], out, '--format', library, '--arch', 'resnet18')
    assert 'wrote' in capsys.readouterr().out
    if library == 'timm':
        import timm

        network = timm.create_model('resnet18', num_classes=3)
    else:
        network = torchvision.models.resnet18(num_classes=3)
    network.load_state_dict(torch.load(out, weights_only=True))
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(
        answer(network, images), logits(student, images)
    )


def test_without_a_classifier(export, tmp_path, capsys):
    encoder = dict(
        type='SelfSupervisedEncoder',
        backbone=dict(type='ResNet', depth=18),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ProjectionHead', hidden_dim=8, out_dim=4),
    )
    cfg = Config(dict(model=encoder, data_preprocessor=NORMALISED))
    model, path = build(cfg), tmp_path / 'encoder.pth'
    atomic_save(student_checkpoint(model, cfg), path)
    out = tmp_path / 'out.pth'
    size = ['--input-size', 64, 96]
    with pytest.raises(ValueError, match='--input-size HEIGHT WIDTH'):
        export(path, out, '--format', 'torchvision', '--arch', 'resnet18')
    export(path, out, '--format', 'torchvision', '--arch', 'resnet18', *size)
    said = capsys.readouterr().out
    assert 'no classifier' in said and "['fc.bias', 'fc.weight']" in said


def test_features_as_a_graph(export, tmp_path, capsys):
    encoder = dict(
        type='SelfSupervisedEncoder',
        backbone=dict(type='CIFARResNet', depth=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ProjectionHead', hidden_dim=8, out_dim=4),
    )
    cfg = Config(dict(model=encoder, data_preprocessor=NORMALISED))
    model, path = build(cfg), tmp_path / 'encoder.pth'
    atomic_save(student_checkpoint(model, cfg), path)
    out = tmp_path / 'out.pt2'
    size = ['--input-size', 32, 48]
    export(path, out, '--format', 'torch-export', *size)
    assert '(N, 3, 32, 48) to features' in capsys.readouterr().out
    images = torch.rand(4, 3, 32, 48)
    with torch.no_grad():
        (feature,) = model.extract_feat(images)
        given = torch.export.load(out).module()(images)
    torch.testing.assert_close(given, feature)


def test_an_export_that_differs_is_not_written(files, export, tmp_path):
    full, *_ = files(config())
    out = tmp_path / 'out.pth'
    out.write_text('the old file')
    with pytest.raises(ExportError, match='resnet34 is another network'):
        export(full, out, '--format', 'timm', '--arch', 'resnet34')
    assert out.read_text() == 'the old file'
    assert not list(tmp_path.glob('*.tmp'))


@pytest.mark.slow
def test_mmpretrain_alone_loads_it(files, export, tmp_path, toy):
    """In a process that never imports mmdistill."""
    full, _, student = files(config())
    out, images = tmp_path / 'out.pth', torch.rand(2, 3, 64, 64)
    export(full, out, '--format', 'mmpretrain')
    meta = load_file(out)['meta']
    assert meta['epoch'] == 1 and meta['dataset_meta']['classes'] == ('a',)
    code = f"""
import json, sys, torch
from mmengine.config import Config
from mmpretrain.apis import get_model
path = {str(out)!r}
meta = torch.load(path, weights_only=True)['meta']
model = get_model(Config.fromstring(meta['cfg'], '.py'), pretrained=path)
images = torch.tensor(json.loads({json.dumps(images.tolist())!r}))
with torch.no_grad():
    found = model(images, mode='tensor').tolist()
assert 'mmdistill' not in sys.modules
print(json.dumps(found))
"""
    script = tmp_path / 'script.py'
    script.write_text(code)
    said = toy.run(sys.executable, '-W', 'ignore', script)
    found = torch.tensor(json.loads(said.strip().splitlines()[-1]))
    torch.testing.assert_close(found, logits(student, images))


def test_mmdet(files, export, tmp_path, capsys):
    """MMPretrain's ResNet has the names of MMDetection's."""
    full, _, student = files(config())
    out = tmp_path / 'out.pth'
    export(full, out, '--format', 'mmdet')
    snippet = load_file(out)['meta']['snippet']
    assert snippet in capsys.readouterr().out
    lines = dict()
    exec(snippet, lines)
    backbone = lines['model']['backbone']
    assert backbone['init_cfg']['checkpoint'] == str(out)
    built = MODELS.build(backbone)
    missing, left = built.load_state_dict(load_file(out)['state_dict'])
    assert not missing and not left
    built = MODELS.build(dict(backbone, init_cfg=None))
    load_checkpoint(built, str(out), map_location='cpu')
    expected = student.backbone.state_dict()
    for key, value in built.state_dict().items():
        assert torch.equal(value, expected[key])


CIFAR = dict(
    CIFARResNet=dict(depth=8),
    CIFARWideResNet=dict(depth=10, widen_factor=1),
)


@pytest.mark.slow
@pytest.mark.parametrize('name', CIFAR)
def test_graphs_of_the_zoo(files, export, tmp_path, capsys, name):
    import onnxruntime

    full, exported, student = files(config(cifar(name, **CIFAR[name]), 32))
    images = torch.rand(5, 3, 32, 32)
    expected = logits(student, images)
    out = tmp_path / 'out.onnx'
    export(full, out, '--format', 'onnx', '--opset', 18)
    assert 'logits, without softmax' in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(out))
    assert session.get_inputs()[0].shape[1:] == [3, 32, 32]
    (given,) = session.run(['logits'], {'images': images.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(given), expected, rtol=1e-4, atol=1e-4
    )
    out = tmp_path / 'out.pt2'
    size = ['--input-size', 32, 32]  # which the export alone does not know
    export(exported, out, '--format', 'torch-export', *size)
    with torch.no_grad():
        given = torch.export.load(out).module()(images)
    torch.testing.assert_close(given, expected)

    out = tmp_path / 'out.pth'
    export(exported, out, '--format', 'mmpretrain')
    assert load_student(out).cfg.default_scope == 'mmdistill'


@pytest.mark.parametrize(
    'to_rgb, loads', [(True, True), (False, False), (False, True)]
)
def test_preprocessing_inside(files, export, tmp_path, to_rgb, loads):
    """As the model's own preprocessor treats what the pipeline gives."""
    cfg = config(cifar(), 32)
    cfg.data_preprocessor.to_rgb = to_rgb
    if not loads:
        cfg.test_dataloader.dataset.pipeline = PIPELINE[-1:]
    full, _, student = files(cfg)
    out = tmp_path / 'out.pt2'
    export(full, out, '--format', 'torch-export', '--with-preprocessing')
    rgb = torch.randint(0, 256, (2, 3, 32, 32)).float()
    given = rgb.flip(1) if loads else rgb
    data = student.data_preprocessor(dict(inputs=given))
    with torch.no_grad():
        found = torch.export.load(out).module()(rgb)
    torch.testing.assert_close(found, logits(student, data['inputs']))


def test_the_config_of_a_file_is_data(files, export, tmp_path):
    full, *_ = files(config(cifar(), 32))
    checkpoint = load_file(full)
    victim = tmp_path / 'executed'
    text = checkpoint['meta']['cfg']
    checkpoint['meta']['cfg'] = f'open({str(victim)!r}, "w")\n{text}'
    torch.save(checkpoint, full)
    out = tmp_path / 'out.pth'
    with pytest.raises(CheckpointError, match='no list of plain settings'):
        export(full, out, '--format', 'mmpretrain')
    assert not victim.exists()

    path = tmp_path / 'training.py'
    path.write_text(text)
    export(full, out, '--format', 'mmpretrain', '--config', path)
    assert out.is_file()


def test_plug_ins(files, export, tmp_path):
    """What a config imports is imported if the user gave it, or trusts it."""
    name = f'plugged_{os.getpid()}'
    (tmp_path / f'{name}.py').write_text(PLUGIN)
    cfg = config(dict(cifar(), backbone=dict(type='CIFARResNet', depth=8)), 32)
    cfg.custom_imports = dict(imports=[name], allow_failed_imports=False)
    full, *_ = files(cfg)
    cfg.dump(tmp_path / 'training.py')
    out = tmp_path / 'out.pth'
    to = [out, '--format', 'mmdet']
    with pytest.raises(CheckpointError, match=f'imports .*{name}'):
        export(full, *to)
    sys.path.insert(0, str(tmp_path))
    try:
        export(full, *to, '--config', tmp_path / 'training.py')
        export(full, *to, '--trust-checkpoints')
    finally:
        sys.path.remove(str(tmp_path))
    assert sys.modules[name].SEEN


def test_files_that_do_not_do(files, export, tmp_path):
    full, *_ = files(config(cifar(), 32))
    out = tmp_path / 'out.pth'
    to = [out, '--format', 'mmpretrain']
    with pytest.raises(FileNotFoundError, match='no checkpoint file'):
        export(tmp_path / 'none.pth', *to)
    with pytest.raises(FileNotFoundError, match='no config file'):
        export(full, *to, '--config', 'none.py')
    torch.save(load_file(full)['state_dict'], tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match='holds no config.*--config'):
        export(tmp_path / 'bare.pth', *to)
    other = tmp_path / 'other.py'
    config(cifar(depth=14), 32).dump(other)
    with pytest.raises(CheckpointError, match='(?s)missing.*Give --config'):
        export(full, *to, '--config', other)
    other.write_text('a = 1')
    with pytest.raises(CheckpointError, match='has no `model`'):
        export(full, *to, '--config', other)
    assert not out.exists()


def test_a_detector_gives_its_backbone_alone(export, tmp_path):
    backbone = dict(type='CIFARResNet', depth=8, out_indices=(1, 2, 3))
    anchors = [[8], [16], [32], [64]]
    cfg = Config(
        dict(
            default_scope='mmdistill',
            model=dict(
                type='FasterRCNN',
                backbone=backbone,
                num_classes=2,
                anchor_sizes=anchors,
            ),
        )
    )
    model = MODELS.build(cfg.model)
    path = tmp_path / 'student.pth'
    torch.save(student_checkpoint(model, cfg), path)
    for out, kind in (('x.onnx', 'onnx'), ('x.pt2', 'torch-export')):
        with pytest.raises(ExportError, match='FasterRCNN.*--format mmdet'):
            export(
                path, tmp_path / out, '--format', kind, '--input-size', 64, 64
            )
        assert not (tmp_path / out).exists()
    with pytest.raises(ExportError, match='FasterRCNN.*--format mmdet'):
        export(path, tmp_path / 'x.pth', '--format', 'timm', '--arch',
               'resnet18', '--input-size', 64, 64)  # fmt: skip
    export(path, tmp_path / 'x.pth', '--format', 'mmdet')
    state = load_file(tmp_path / 'x.pth')['state_dict']
    assert state.keys() == model.backbone.state_dict().keys()


@pytest.mark.parametrize(
    'out, options, message',
    [('x.pth', ['timm'], 'needs --arch'),
     ('x.onnx', ['timm', '--arch', 'a'], 'should end in .pth or .pt'),
     ('x.pth', ['mmdet', '--arch', 'a'], '--arch has no meaning'),
     ('x.pt2', ['torch-export', '--opset', 18], '--opset has no meaning'),
     ('x.pth', ['mmpretrain', '--with-preprocessing'], 'no meaning')],
)  # fmt: skip
def test_options_that_do_not_go_together(export, out, options, message):
    with pytest.raises(ValueError, match=message):
        export('none.pth', out, '--format', *options)


@pytest.mark.parametrize(
    'package, options',
    [('timm', ['x.pth', '--format', 'timm', '--arch', 'resnet18']),
     ('onnxruntime', ['x.onnx', '--format', 'onnx'])],
)  # fmt: skip
def test_missing_packages(files, export, monkeypatch, package, options):
    full, *_ = files(config(cifar(), 32))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as error:
        export(full, *options)
    assert f'needs {package}' in str(error.value)
    assert "pip install 'mmdistill[export]'" in str(error.value)


def test_help_imports_nothing_heavy(toy):
    said = toy.run(
        sys.executable, '-X', 'importtime',
        toy.tools / 'export_student.py', '--help',
    )  # fmt: skip
    assert '--with-preprocessing' in said
    assert '| argparse\n' in said and '| torch\n' not in said


def test_formats_are_listed_with_their_options(main, capsys):
    with pytest.raises(SystemExit):
        main('export_student', '--list-formats')
    said = capsys.readouterr().out
    assert 'onnx: .onnx [--input-size] [--with-preprocessing]' in said
    assert 'timm: .pth or .pt --arch [--input-size]' in said


def test_a_format_that_is_not_there(export):
    with pytest.raises(KeyError, match='did you mean timm.*torchvision'):
        export('none.pth', 'x.pth', '--format', 'tim')


FORMAT = """
from mmdistill.checkpoints import atomic_save
from mmdistill.export import ExportFormat
from mmdistill.registry import EXPORT_FORMATS


@EXPORT_FORMATS.register_module('halves')
class HalvesFormat(ExportFormat):
    about = 'a state dict in float16'
    suffixes = ('.half',)
    takes = ('input_size',)

    def write(self, student, path, options):
        state = student.model.state_dict()
        atomic_save({key: x.half() for key, x in state.items()}, path)
        return f'for images of {options.size_for(student)}'
"""


def test_a_plug_in_adds_a_format(files, main, tmp_path, capsys, monkeypatch):
    full, _, student = files(config(cifar(), 32))
    name = f'plugged_format_{os.getpid()}'
    (tmp_path / f'{name}.py').write_text(FORMAT)
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / 'out.half'
    tool = 'export_student', full, out, '--import', name, '--format', 'halves'
    try:
        main(*tool)
        assert 'for images of (32, 32)' in capsys.readouterr().out
        state = load_file(out)
        for key, value in student.state_dict().items():
            assert torch.equal(state[key], value.half())
        with pytest.raises(SystemExit):
            main('export_student', '--list-formats')
        said = capsys.readouterr().out
        assert 'halves: .half [--input-size]\n    a state dict in fl' in said
        with pytest.raises(ValueError, match='--arch has no meaning'):
            main(*tool, '--arch', 'resnet18')
    finally:
        EXPORT_FORMATS.module_dict.pop('halves', None)


def test_neither_teacher_nor_losses_are_built(files, export, tmp_path):
    """The config's other parts need not be there any more."""
    cfg = config(cifar(), 32)
    full, *_ = files(cfg)
    whole = load_student(full)
    cfg.model.teacher = cifar(depth=9)  # no depth that there is
    cfg.model.losses = dict(kd=dict(type='CRDLoss', student_dim='x'))
    with pytest.raises(ValueError, match='9'):
        build(cfg)
    checkpoint = load_file(full)
    checkpoint['meta']['cfg'] = cfg.pretty_text
    torch.save(checkpoint, full)
    alone = load_student(full)
    assert alone.checkpoint['meta'] == whole.checkpoint['meta']
    expected = whole.model.state_dict()
    assert alone.model.state_dict().keys() == expected.keys()
    for key, value in alone.model.state_dict().items():
        assert torch.equal(value, expected[key])
