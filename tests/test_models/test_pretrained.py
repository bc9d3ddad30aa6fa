"""Backbones that start from the file of another run."""

import logging

import pytest
import torch
import torchvision
from helpers import digits_batch, digits_config, tiny_classifier

from mmdistill.checkpoints import CheckpointError
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import pretrained
from mmdistill.registry import MODELS

RESNET = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)


@pytest.fixture
def lines(monkeypatch):
    """What is logged, and how loudly."""
    said = []

    def log(text, logger=None, level=logging.INFO):
        said.append((level, text))

    monkeypatch.setattr(pretrained, 'print_log', log)
    return said


def source(backbone=RESNET, seed=3):
    """A backbone no tensor of which is as it is initialised."""
    torch.manual_seed(seed)
    model = MODELS.build(backbone)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return model.state_dict()


def below(prefix, state):
    return {f'{prefix}{key}': value for key, value in state.items()}


def zeros(*keys):
    return {key: torch.zeros(2) for key in keys}


def write(path, state, wrapped=True):
    torch.save(dict(state_dict=state, meta={}) if wrapped else state, path)
    return str(path)


def started(path, backbone=RESNET, **kwargs):
    """The backbone after MMEngine's initialisation."""
    init = dict(type='Pretrained', checkpoint=path, **kwargs)
    model = MODELS.build(dict(backbone, init_cfg=init))
    model.init_weights()
    return model


def assert_loaded(model, state):
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


LAYOUTS = {
    'full': lambda state: (
        below('student.backbone.', state) | zeros('losses.crd.normalisers')
    ),
    'export': lambda state: (
        below('backbone.', state) | zeros('head.fc.weight', 'head.fc.bias')
    ),
    'encoder': lambda state: (
        below('backbone.', state) | zeros('head.0.weight', 'prototypes.weight')
    ),
    'ddp': lambda state: below('module.student.backbone.', state),
    'bare': dict,
    'torchvision': lambda state: state | zeros('fc.weight', 'fc.bias'),
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('wrapped', [True, False])
def test_layouts(tmp_path, lines, layout, wrapped):
    state = source()
    path = write(tmp_path / 'x.pth', LAYOUTS[layout](state), wrapped)
    assert_loaded(started(path), state)
    count = len(state)
    assert lines == [
        (logging.INFO, f'loaded {count} of {count} tensors of the backbone '
         f'(ResNet) from {path}')
    ]  # fmt: skip


def test_part_and_prefix(tmp_path):
    student, teacher, other = source(seed=1), source(seed=2), source(seed=5)
    path = write(
        tmp_path / 'x.pth',
        below('student.backbone.', student)
        | below('teacher.backbone.', teacher)
        | below('other.', other),
    )
    assert_loaded(started(path), student)
    assert_loaded(started(path, part='teacher'), teacher)
    for prefix in ('other', 'other.'):
        assert_loaded(started(path, prefix=prefix), other)
    with pytest.raises(CheckpointError, match='those of "none" are taken'):
        started(path, prefix='none')


def test_as_torchvision_writes_it(tmp_path):
    network = torchvision.models.resnet18().eval()
    path = write(tmp_path / 'x.pth', network.state_dict(), wrapped=False)
    model = started(path, dict(type='ResNet', depth=18))
    model.eval()
    network.fc = torch.nn.Identity()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        pooled = model(images)[-1].mean(dim=(2, 3))
        torch.testing.assert_close(pooled, network(images))


@pytest.mark.parametrize(
    'backbone, message',
    [(dict(RESNET, depth=34),
      r'(?s)ResNet: .*missing: layer1.2.*the backbone.*partial=True'),
     (dict(type='ResNet', depth=18),
      'size mismatch for conv1.weight'),
     (dict(type='MobileNetV2'), 'missing: conv1.conv.weight'),
     (dict(type='CIFARResNet', depth=8), r"begin with \['student'\]")],
)  # fmt: skip
def test_other_architectures_are_refused(tmp_path, backbone, message):
    path = write(tmp_path / 'x.pth', below('student.backbone.', source()))
    with pytest.raises(CheckpointError, match=message):
        started(path, backbone)


def test_what_the_file_has_more_is_refused(tmp_path):
    path = write(tmp_path / 'x.pth', source(dict(RESNET, depth=34)))
    with pytest.raises(CheckpointError, match='left over: layer1.2'):
        started(path)


def test_partial(tmp_path, lines):
    state = source()
    kept = {k: v for k, v in state.items() if not k.startswith('layer4')}
    kept['conv1.weight'] = torch.zeros(8, 1, 7, 7)  # grey
    kept['more'] = torch.zeros(1)
    path = write(tmp_path / 'x.pth', below('backbone.', kept))
    with pytest.raises(CheckpointError, match='missing: layer4'):
        started(path)
    lines.clear()
    model = started(path, partial=True)
    for key, value in model.state_dict().items():
        is_kept = key in kept and key != 'conv1.weight'
        assert torch.equal(value, state[key]) == is_kept or 'num_b' in key, key
    (_, loaded), (level, stay), (_, left) = lines
    absent = sum('num_batches' not in k and k.startswith('layer4')
                 for k in state) + 1  # fmt: skip
    count = len(state)
    assert loaded.startswith(f'loaded {count - absent} of {count} tensors')
    assert level == logging.WARNING
    assert stay.startswith(f'{absent} tensors stay') and 'conv1.weight' in stay
    assert left == '2 tensors of the file were left: conv1.weight, more'


def test_nothing_that_fits_is_always_refused(tmp_path):
    path = write(tmp_path / 'x.pth', below('backbone.', source()))
    with pytest.raises(CheckpointError, match='(?s)no tensor that fits.*Set'):
        started(path, dict(type='CIFARVGG', depth=8), partial=True)


def test_missing_file():
    with pytest.raises(FileNotFoundError, match='init_cfg.checkpoint'):
        started('no/file.pth')


def test_position_embeddings_are_adapted(tmp_path):
    small = dict(type='VisionTransformer', arch='deit-tiny', img_size=32,
                 patch_size=16)  # fmt: skip
    state = source(small)
    path = write(tmp_path / 'x.pth', below('backbone.', state))
    model = started(path, dict(small, img_size=64))
    assert model.pos_embed.shape == (1, 17, 192)
    assert torch.equal(model.pos_embed[:, 0], state['pos_embed'][:, 0])


@pytest.mark.parametrize(
    'backbone', [RESNET, dict(type='VisionTransformer', arch='deit-tiny')]
)
@pytest.mark.parametrize('first', [True, False])
def test_lists_of_init_cfg(tmp_path, backbone, first):
    """The file comes last, and nothing is initialised anew after it."""
    state = source(backbone)
    path = write(tmp_path / 'x.pth', below('backbone.', state))
    init = [
        dict(type='Constant', layer=['Conv2d', 'LayerNorm'], val=0.5),
        dict(type='Pretrained', checkpoint=path),
    ]
    model = MODELS.build(dict(backbone, init_cfg=init[:: 1 if first else -1]))
    model.init_weights()
    assert_loaded(model, state)


def test_a_whole_model(tmp_path):
    network = tiny_classifier()
    state = source(network)
    path = write(tmp_path / 'x.pth', below('student.', state))
    init = dict(type='Pretrained', checkpoint=path)
    model = MODELS.build(dict(network, init_cfg=init))
    model.init_weights()
    assert_loaded(model, state)
    other = MODELS.build(dict(tiny_classifier(classes=3), init_cfg=init))
    with pytest.raises(CheckpointError, match='size mismatch for head.fc'):
        other.init_weights()


# In runs --------------------------------------------------------------------
def run_config(work_dir, path):
    cfg = digits_config(work_dir)
    cfg.model = dict(
        tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
    )
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=path)
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.train_cfg.max_epochs = 1
    return cfg


def test_a_runner_takes_ours(tmp_path):
    """A classifier of MMPretrain, by the default scope of its config."""
    state = source(tiny_classifier()['backbone'])
    path = write(tmp_path / 'x.pth', below('student.backbone.', state))
    cfg = run_config(tmp_path / 'run', path)
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    for key, value in runner.model.backbone.named_parameters():
        assert torch.equal(value, state[key])

    # tests do without the file; a resumed training reads it once more
    (tmp_path / 'x.pth').unlink()
    trained = str(tmp_path / 'run' / 'epoch_1.pth')
    cfg = run_config(tmp_path / 'test', path)
    cfg.load_from = trained
    runner = DistillRunner.from_cfg(cfg)
    runner.test()
    for key, value in runner.model.backbone.named_parameters():
        assert torch.equal(value, state[key])
    cfg = run_config(tmp_path / 'resumed', path)
    cfg.update(load_from=trained, resume=True)
    with pytest.raises(FileNotFoundError, match='init_cfg.checkpoint'):
        DistillRunner.from_cfg(cfg).train()


def test_a_student_of_a_distiller(tmp_path):
    state = source(tiny_classifier()['backbone'])
    path = write(tmp_path / 'x.pth', below('backbone.', state))
    cfg = digits_config(tmp_path)
    cfg.model.student.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=path
    )
    model = MODELS.build(cfg.model)
    model.init_weights()
    assert_loaded(model.student.backbone, state)
    batch = model.data_preprocessor(digits_batch(), True)
    assert model(**batch, mode='loss')['kd'].isfinite()
