import pytest
import torch
from helpers import tiny_classifier

from mmdistill.models import Representation, RepresentationReader
from mmdistill.registry import MODELS

GAP = dict(type='GlobalAveragePooling')


def linear(width):
    return dict(type='LinearClsHead', num_classes=5, in_channels=width)


def vit(out_type='cls_token', kind='VisionTransformer', **head):
    backbone = dict(
        type=kind,
        arch=dict(
            embed_dims=12, num_layers=3, num_heads=2, feedforward_channels=16
        ),
        img_size=16,
        patch_size=4,
        out_type=out_type,
        drop_rate=0.1,
    )
    if kind == 'BEiTViT':
        backbone.update(use_rel_pos_bias=False, use_abs_pos_emb=True)
    head = dict(
        type='VisionTransformerClsHead', num_classes=5, in_channels=12, **head
    )
    neck = GAP if out_type == 'featmap' else None
    return dict(
        type='ImageClassifier', backbone=backbone, neck=neck, head=head
    )


def cnn(backbone, width, neck=GAP):
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=neck,
        head=linear(width),
    )


# config, image size, shapes of the maps by number
MODELS_AND_MAPS = {
    'cifar': (
        tiny_classifier(),
        (1, 8, 8),
        {0: (4, 8, 8), 1: (4, 8, 8), 2: (8, 4, 4), 3: (16, 2, 2)},
    ),
    'resnet': (
        cnn(dict(type='ResNet', depth=18, base_channels=8,
                 stem_channels=8), 64),
        (3, 32, 32),
        {1: (8, 8, 8), 2: (16, 4, 4), 3: (32, 2, 2), 4: (64, 1, 1)},
    ),
    'resnet_cifar': (
        cnn(dict(type='ResNet_CIFAR', depth=18, base_channels=8,
                 stem_channels=8), 64),
        (3, 16, 16),
        {1: (8, 16, 16), 2: (16, 8, 8), 3: (32, 4, 4), 4: (64, 2, 2)},
    ),
    'mobilenet_v2': (
        cnn(dict(type='MobileNetV2', widen_factor=0.25), 1280),
        (3, 32, 32),
        None,
    ),
    'swin': (
        cnn(dict(type='SwinTransformer', img_size=32, patch_size=2,
                 arch=dict(embed_dims=4, depths=[1, 1], num_heads=[1, 2]),
                 window_size=4, out_indices=(0, 1)), 8),
        (3, 32, 32),
        {1: (4, 16, 16), 2: (8, 8, 8)},
    ),
    'vit': (vit(), (3, 16, 16), dict.fromkeys((1, 2, 3), (12, 4, 4))),
    'vit_hidden': (
        vit(hidden_dim=7), (3, 16, 16), dict.fromkeys((1, 2, 3), (12, 4, 4))
    ),
    'vit_avg': (
        vit('avg_featmap'), (3, 16, 16), dict.fromkeys((1, 2, 3), (12, 4, 4))
    ),
    'beit': (
        vit('avg_featmap', 'BEiTViT'),
        (3, 16, 16),
        dict.fromkeys((1, 2, 3), (12, 4, 4)),
    ),
}  # fmt: skip


@pytest.fixture(params=MODELS_AND_MAPS, ids=str)
def case(request):
    cfg, size, maps = MODELS_AND_MAPS[request.param]
    model = MODELS.build(cfg).eval()
    return RepresentationReader(model), size, maps


def test_maps_by_number(case):
    reader, size, maps = case
    dry, shapes = reader.dry_run(size, with_maps=True)
    assert dry.maps == ()
    if maps is None:
        assert all(len(shape) == 4 for shape in shapes.values())
    else:
        assert shapes == {n: (1, *shape) for n, shape in maps.items()}

    reader.numbers = (min(shapes), max(shapes))
    got = reader(torch.rand(2, *size))
    assert [tuple(m.shape[1:]) for m in got.maps] == [
        shapes[n][1:] for n in reader.numbers
    ]


def test_equals_the_model(case):
    """Logits are the model's, the feature is what the last layer sees."""
    reader, size, _ = case
    image = torch.rand(2, *size)
    expected = reader.model(image, mode='tensor')
    *_, last = (
        x for x in reader.model.modules() if isinstance(x, torch.nn.Linear)
    )
    _, shapes = reader.dry_run(size, with_maps=True)
    for numbers in ((), tuple(sorted(shapes))):
        reader.numbers = numbers
        got = reader(image)
        torch.testing.assert_close(got.logits, expected)
        torch.testing.assert_close(last(got.feature), expected)
        assert got.embedding is None
    # the model itself is as it was
    torch.testing.assert_close(reader.model(image, mode='tensor'), expected)


def test_one_pass(case):
    reader, size, _ = case
    _, shapes = reader.dry_run(size, with_maps=True)
    reader.numbers = tuple(shapes)
    calls = []
    reader.model.backbone.register_forward_hook(lambda *_: calls.append('b'))
    reader.model.head.register_forward_hook(lambda *_: calls.append('h'))
    reader(torch.rand(2, *size))
    assert calls == ['b', 'h']


def test_patch_tokens_are_the_featmap():
    torch.manual_seed(0)
    reader = RepresentationReader(MODELS.build(vit()).eval())
    reader.numbers = (3,)
    featmap = MODELS.build(vit('featmap')).eval()
    featmap.load_state_dict(reader.model.state_dict())
    image = torch.rand(2, 3, 16, 16)
    # without a class token the two would differ: compare the same tokens
    with torch.no_grad():
        expected = featmap.extract_feat(image, stage='backbone')[-1]
        torch.testing.assert_close(reader(image).maps[0], expected)


def test_dry_run_leaves_no_trace():
    model = MODELS.build(vit())
    model.backbone.layers[0].eval()
    modes = {name: m.training for name, m in model.named_modules()}
    state = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    RepresentationReader(model).dry_run((3, 16, 16), with_maps=True)
    assert modes == {name: m.training for name, m in model.named_modules()}
    assert torch.equal(random, torch.get_rng_state())
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


def test_wrong_image_size_names_the_key():
    reader = RepresentationReader(
        MODELS.build(tiny_classifier()), 'model.student'
    )
    with pytest.raises(ValueError, match='model.student.*input_size'):
        reader.dry_run((3, 8, 8), with_maps=False)


def test_frozen():
    with pytest.raises(AttributeError):
        Representation().logits = 1


def test_algorithms_of_mmpretrain_give_the_pooled_last_map():
    """Their neck is a projection and their head a loss."""
    model = MODELS.build(
        dict(
            type='MoCo',
            queue_len=8,
            feat_dim=6,
            backbone=dict(
                type='ResNet', depth=18, base_channels=4, stem_channels=4
            ),
            neck=dict(
                type='MoCoV2Neck',
                in_channels=32,
                hid_channels=8,
                out_channels=6,
            ),
            head=dict(
                type='ContrastiveHead', loss=dict(type='CrossEntropyLoss')
            ),
        )
    ).eval()
    image = torch.randn(2, 3, 64, 64)
    seen = RepresentationReader(model)(image)
    expected = model.backbone(image)[-1].mean(dim=(2, 3))
    torch.testing.assert_close(seen.feature, expected)
    assert seen.embedding is None and seen.logits is None
