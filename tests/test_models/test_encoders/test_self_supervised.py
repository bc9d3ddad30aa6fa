import copy

import pytest
import torch
import torch.nn.functional as F
from digits_encoder import HEAD, digits_encoder
from helpers import digits_batch, digits_config
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample

from mmdistill.checkpoints import load_file
from mmdistill.datasets import Digits
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import RepresentationReader, SelfSupervisedEncoder
from mmdistill.registry import DATASETS, MODELS
from mmdistill.structures import BatchedSamples

VIT = dict(
    type='VisionTransformer',
    arch=dict(
        embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16
    ),
    img_size=32,
    patch_size=8,
)

# config, image size, shapes of the maps by number, width of the feature
ENCODERS = {
    'cifar': (
        digits_encoder(),
        (1, 8, 8),
        {0: (4, 8, 8), 1: (4, 8, 8), 2: (8, 4, 4), 3: (16, 2, 2)},
        16,
    ),
    'resnet': (
        digits_encoder(
            backbone=dict(
                type='ResNet', depth=18, base_channels=4, stem_channels=4
            )
        ),
        (3, 32, 32),
        {1: (4, 8, 8), 2: (8, 4, 4), 3: (16, 2, 2), 4: (32, 1, 1)},
        32,
    ),
    'vit': (
        digits_encoder(backbone=VIT, neck=None),
        (3, 32, 32),
        {1: (8, 4, 4), 2: (8, 4, 4)},
        8,
    ),
}


@pytest.fixture(params=ENCODERS, ids=str)
def case(request):
    cfg, *rest = ENCODERS[request.param]
    return MODELS.build(cfg).eval(), *rest


# What it gives --------------------------------------------------------------
def test_parts_by_hand(case):
    encoder, size, _, width = case
    image = torch.rand(3, *size)
    feature = encoder.extract_feat(image)[-1]
    embedding = encoder.head(feature)
    got = encoder(image)
    torch.testing.assert_close(got.feature, feature)
    torch.testing.assert_close(got.embedding, embedding)
    unit = F.normalize(encoder.prototypes.weight)
    torch.testing.assert_close(got.logits, embedding @ unit.t())
    assert got.maps == () and got.feature.shape == (3, width)
    torch.testing.assert_close(
        encoder.extract_feat(image, stage='pre_logits'), feature
    )


def test_scores_are_of_the_normalized_embedding():
    head = dict(HEAD, normalize=False)
    encoder = MODELS.build(digits_encoder(head=head)).eval()
    got = encoder(100 * torch.rand(3, 1, 8, 8))
    assert (got.embedding.norm(dim=1) - 1).abs().min() > 0.01
    unit = F.normalize(encoder.prototypes.weight)
    expected = F.normalize(got.embedding) @ unit.t()
    torch.testing.assert_close(got.logits, expected)


def test_without_parts():
    image = torch.rand(2, 1, 8, 8)
    got = MODELS.build(digits_encoder(prototypes=None)).eval()(image)
    assert got.embedding.shape == (2, 6) and got.logits is None
    encoder = MODELS.build(digits_encoder(head=None)).eval()
    got = encoder(image)
    assert got.embedding is None
    torch.testing.assert_close(
        got.logits, encoder.prototypes(F.normalize(got.feature))
    )
    got = MODELS.build(digits_encoder(head=None, prototypes=None))(image)
    assert got.feature.shape == (2, 16)
    assert got.embedding is None and got.logits is None


@pytest.mark.parametrize('name', ENCODERS)
def test_widths_are_filled_in_and_nothing_is_drawn_for_it(name):
    cfg, _, _, width = ENCODERS[name]
    given = copy.deepcopy(cfg)
    given['head']['in_dim'] = width
    given['prototypes']['in_dim'] = 6
    states = []
    for one in (cfg, given):
        torch.manual_seed(3)
        model = MODELS.build(one)
        states.append(dict(model.state_dict(), random=torch.get_rng_state()))
        assert all(module.training for module in model.modules())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_maps_in_one_pass(case):
    encoder, size, maps, width = case
    reader = RepresentationReader(encoder)
    dry, shapes = reader.dry_run(size, with_maps=True)
    assert shapes == {n: (1, *shape) for n, shape in maps.items()}
    assert dry.feature.shape == (1, width)
    assert dry.embedding.shape == (1, 6) and dry.logits.shape == (1, 20)

    image = torch.rand(4, *size)
    expected = encoder(image)
    reader.numbers = tuple(maps)
    calls = []
    for part in (encoder.backbone, encoder.head, encoder.prototypes):
        part.register_forward_hook(lambda m, *_: calls.append(type(m)))
    got = reader(image)
    assert len(calls) == 3
    assert [tuple(m.shape[1:]) for m in got.maps] == list(maps.values())
    for name in ('feature', 'embedding', 'logits'):
        value = getattr(got, name)
        torch.testing.assert_close(value, getattr(expected, name))
        parts = [getattr(part, name) for part in got.split(2)]
        torch.testing.assert_close(torch.cat(parts), value)
    for part, half in zip(got.split(2), (image[:2], image[2:]), strict=True):
        torch.testing.assert_close(part.logits, encoder(half).logits)
        assert all(len(m) == 2 for m in part.maps)


@pytest.mark.parametrize('name', ['resnet', 'vit'])
def test_crops_of_several_sizes(name):
    encoder = MODELS.build(ENCODERS[name][0]).eval()
    for size in (32, 24, 16, 40):
        image = torch.rand(2, 3, size, size, requires_grad=True)
        got = encoder(image)
        assert got.logits.shape == (2, 20)
        got.logits.square().sum().backward()
        assert image.grad.abs().sum() > 0
    if name == 'vit':  # the position embedding of each size has a gradient
        assert encoder.backbone.pos_embed.grad.abs().min() > 0


def test_dropout_of_the_head():
    head = dict(HEAD, dropout=(0.1, 0.05))
    encoder = MODELS.build(digits_encoder(head=head))
    feature = torch.randn(8, 16)
    embedding, logits = encoder.project(feature, dropout=False)
    plain = encoder.head(feature, dropout=False)
    torch.testing.assert_close(embedding, plain)
    torch.testing.assert_close(logits, encoder.prototypes(plain))
    assert not torch.allclose(encoder.project(feature)[1], logits)


@pytest.mark.parametrize('samples', ['none', 'list', 'batched'])
def test_predict_puts_features_on_the_samples(samples):
    encoder = MODELS.build(digits_encoder()).eval()
    image = torch.rand(3, 1, 8, 8)
    label = torch.tensor([4, 0, 7])
    given = dict(
        none=None,
        list=[DataSample().set_gt_label(int(i)) for i in label],
        batched=BatchedSamples(torch.arange(3), label),
    )[samples]
    got = encoder(image, given, mode='predict')
    features = torch.stack([sample.feature for sample in got])
    torch.testing.assert_close(features, encoder(image).feature)
    if given is not None:
        assert torch.equal(torch.cat([s.gt_label for s in got]), label)


def test_embedding_and_scores_are_float32_under_autocast():
    encoder = MODELS.build(digits_encoder())
    with torch.autocast('cpu', torch.bfloat16):
        got = encoder(torch.rand(4, 1, 8, 8))
    assert got.embedding.dtype == got.logits.dtype == torch.float32


def test_the_head_can_be_initialised_as_dinos():
    rule = dict(type='TruncNormal', layer='Linear', std=0.02)
    head = dict(HEAD, hidden_dim=200, init_cfg=rule)
    encoder = MODELS.build(digits_encoder(head=head))
    before = copy.deepcopy(encoder.state_dict())
    encoder.init_weights()
    for layer in (encoder.head[0], encoder.head[3]):
        assert abs(layer.weight.std() - 0.02) < 0.002
    assert torch.all(encoder.head[3].bias == 0)
    for name in ('head.1.weight', 'prototypes.weight'):
        assert torch.equal(encoder.state_dict()[name], before[name])


# Errors ---------------------------------------------------------------------
@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(neck=None), r'\(1, 16, 32, 32\).*GlobalAveragePooling'),
        (dict(backbone=dict(VIT, out_type='raw'), neck=None), 'cls_token'),
        (dict(head=dict(HEAD, in_dim=3)), 'prototypes.in_dim'),
        (
            dict(backbone=dict(type='InceptionV3', aux_logits=False)),
            r'\(3, 128, 128\).*set head.in_dim',
        ),
        (
            dict(backbone=dict(type='SwinTransformer', arch='tiny')),
            'pad_small_map.*set head.in_dim',
        ),
    ],
)
def test_parts_that_do_not_fit(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(digits_encoder(**kwargs))


def test_unknown_modes():
    encoder = MODELS.build(digits_encoder())
    image = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match="'loss'.*model.student"):
        encoder(image, mode='loss')
    with pytest.raises(ValueError, match="got 'head'"):
        encoder.extract_feat(image, stage='head')


# In a distiller -------------------------------------------------------------
@DATASETS.register_module()
class Unlabelled(Digits):
    """The images alone."""

    def load_data_list(self):
        return [dict(img=info['img']) for info in super().load_data_list()]


TEACHER = digits_encoder(depth=14, widths=(8, 8, 8, 12))

LOSSES = dict(protocpc=dict(type='ProtoCPCLoss'))


def distiller(losses=None, **kwargs):
    cfg = dict(
        type='OfflineDistiller',
        student=digits_encoder(),
        teacher=TEACHER,
        losses=losses or LOSSES,
        task_weight=0,
        data_preprocessor=dict(mean=[120.0], std=[60.0]),
        input_size=(1, 8, 8),
    )
    return copy.deepcopy({**cfg, **kwargs})


ALL = dict(
    LOSSES,
    infonce=dict(type='InfoNCELoss', queue_size=16),
    crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8, num_samples=40),
    at=dict(type='ATLoss'),
)


def test_every_level_in_one_pass():
    model = MODELS.build(distiller(ALL))
    assert model.losses['protocpc'].prior.value.shape == (20,)
    assert model.losses['crd'].embed_teacher.in_features == 12
    calls = []
    for name in ('student', 'teacher'):
        getattr(model, name).backbone.register_forward_hook(
            lambda *_, name=name: calls.append(name)
        )
    optimizer = build_optim_wrapper(
        model, dict(optimizer=dict(type='SGD', lr=0.1))
    )
    before = copy.deepcopy(model.teacher.state_dict())
    log = model.train().train_step(digits_batch(), optimizer)
    assert set(log) == {'loss', *ALL}
    assert calls == ['student', 'teacher']
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[key])


def test_vit_teaches_cnn():
    student = ENCODERS['resnet'][0]
    cfg = distiller(
        dict(LOSSES, at=dict(type='ATLoss', maps=[-1])),
        student=student,
        teacher=ENCODERS['vit'][0],
        data_preprocessor=None,
        input_size=(3, 32, 32),
    )
    model = MODELS.build(cfg).eval()  # the prior stays as it is
    image = torch.rand(4, 3, 32, 32)
    losses = model(image, mode='loss')
    expected = model.losses['protocpc'](
        model.student(image).logits, model.teacher(image).logits
    )
    torch.testing.assert_close(losses['protocpc'], expected)
    sum(losses.values()).backward()
    assert model.student.prototypes.weight.grad.abs().sum() > 0


def test_a_missing_level_is_named():
    cfg = distiller(teacher=dict(TEACHER, prototypes=None))
    with pytest.raises(ValueError, match="'logits'.*teacher.*'embedding'"):
        MODELS.build(cfg)


@pytest.fixture
def teacher_file(tmp_path):
    path = tmp_path / 'teacher.pth'
    torch.save(MODELS.build(TEACHER).state_dict(), path)
    return str(path)


def test_real_run_without_labels(tmp_path, teacher_file):
    cfg = digits_config(
        tmp_path,
    )
    cfg.model = distiller(teacher_ckpt=teacher_file)
    for name in ('val', 'test'):
        for part in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{name}_{part}'] = None
    cfg.train_dataloader.dataset.type = 'Unlabelled'
    runner = DistillRunner.from_cfg(cfg)
    before = copy.deepcopy(runner.model.student.state_dict())
    runner.train()

    model = runner.model
    moved = {
        name
        for name, value in model.student.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {name for name, _ in model.student.named_parameters()}
    prior = model.losses['protocpc'].prior.value
    assert not torch.equal(prior, torch.ones(20))
    teacher = load_file(teacher_file)
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, teacher[key])
    # the trained student is the next one's teacher, prototypes and all
    again = MODELS.build(
        distiller(
            student=TEACHER,
            teacher=digits_encoder(),
            teacher_ckpt=str(tmp_path / 'epoch_2.pth'),
        )
    )
    for key, value in again.teacher.state_dict().items():
        assert torch.equal(value, model.student.state_dict()[key])


def test_exported_student_is_an_encoder(tmp_path):
    from mmdistill.export import student_checkpoint

    model = MODELS.build(distiller()).eval()
    checkpoint = student_checkpoint(model, Config(dict(model=distiller())))
    cfg = Config.fromstring(checkpoint['meta']['cfg'], '.py')
    assert cfg.default_scope == 'mmdistill'
    encoder = MODELS.build(cfg.model).eval()
    encoder.load_state_dict(checkpoint['state_dict'], strict=True)
    assert isinstance(encoder, SelfSupervisedEncoder)
    image = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(
        encoder(image).logits, model(image, mode='tensor').logits
    )
