"""Hugging Face's models: by architecture, and from folders of theirs."""

import json

import pytest
import torch

transformers = pytest.importorskip('transformers')

from mmdistill.models import RepresentationReader  # noqa: E402
from mmdistill.models.zoo import (  # noqa: E402
    ModelNameError,
    WeightsError,
    get_model,
    model_info,
)
from mmdistill.registry import MODELS  # noqa: E402

SMALL = dict(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    image_size=32,
    patch_size=8,
)


@pytest.fixture
def folder(tmp_path):
    """A ViT with four classes, as ``save_pretrained`` writes it."""
    config = transformers.ViTConfig(
        **SMALL, num_labels=4, id2label=dict(enumerate('abcd'))
    )
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / 'vit')
    processor = dict(
        image_mean=[0.5] * 3, image_std=[0.25] * 3, do_normalize=True,
        rescale_factor=1 / 255, resample=3, size=dict(height=32, width=32),
        image_processor_type='ViTImageProcessor')  # fmt: skip
    text = json.dumps(processor)
    (tmp_path / 'vit' / 'preprocessor_config.json').write_text(text)
    return tmp_path / 'vit', model


def test_a_folder(folder):
    path, theirs = folder
    info = model_info(f'hf/{path}')
    assert info.size == (32, 32) and info.classes == tuple('abcd')
    assert info.mean == (127.5,) * 3 and info.std == (63.75,) * 3
    model = get_model(f'hf/{path}', pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(images), theirs(images).logits)
    reader = RepresentationReader(model)
    _, shapes = reader.dry_run((3, 32, 32), with_maps=True)
    assert shapes == {1: (1, 16, 4, 4), 2: (1, 16, 4, 4)}
    # other classes: its encoder, and a new classifier
    other = get_model(f'hf/{path}', pretrained=True, num_classes=7).eval()
    assert other(images).shape == (2, 7)
    own, given = other.state_dict(), model.state_dict()
    for key in own:
        if not key.startswith('head.'):
            assert torch.equal(own[key], given[key]), key


def test_an_encoder(tmp_path):
    """Its feature is what its pooler gives: no classifier, no scores."""
    config = transformers.Dinov2Config(**SMALL)
    theirs = transformers.Dinov2Model(config).eval()
    theirs.save_pretrained(tmp_path)
    assert model_info(f'hf/{tmp_path}').num_classes == 0
    model = get_model(f'hf/{tmp_path}', pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    seen = RepresentationReader(model)(images)
    expected = theirs(images).pooler_output
    torch.testing.assert_close(seen.feature, expected)
    assert seen.logits is None


def test_what_sees_of_clip(tmp_path):
    vision = {**SMALL, 'projection_dim': 8}
    config = transformers.CLIPConfig(
        vision_config=vision,
        text_config=dict(hidden_size=16, num_hidden_layers=1,
                         num_attention_heads=2, intermediate_size=16,
                         vocab_size=50),
    )  # fmt: skip
    theirs = transformers.CLIPModel(config).eval()
    theirs.save_pretrained(tmp_path)
    model = get_model(f'hf/{tmp_path}', pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32)
    seen = RepresentationReader(model)(images)
    expected = theirs.vision_model(images).pooler_output
    torch.testing.assert_close(seen.feature, expected)


def test_an_architecture():
    options = {k: v for k, v in SMALL.items() if k != 'image_size'}
    model = get_model('hf/vit', num_classes=3, input_size=(3, 32, 32),
                      **options)  # fmt: skip
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(ModelNameError, match=r"no settings \['hiden_size'\]"):
        get_model('hf/vit', hiden_size=3)
    with pytest.raises(WeightsError, match='without published weights'):
        get_model('hf/vit', pretrained=True, **options)


@pytest.mark.parametrize(
    'name, message',
    [
        ('hf/./nowhere', 'which does not exist'),
        ('hf/dinov', 'hf/dinov2'),
        ('hf/some/model', 'config.json and model.safetensors into a folder'),
    ],
)
def test_wrong_names(name, message, monkeypatch):
    from mmdistill.models.zoo import hub

    hub.can_reach_hub.cache_clear()
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(ModelNameError, match=message):
        model_info(name)
    hub.can_reach_hub.cache_clear()


def test_published_weights_of_a_backbone_alone(folder):
    """As a detector, or an encoder with a neck of its own, has it."""
    path, theirs = folder
    cfg = dict(
        type='NetworkBackbone', network=f'hf/{path}', pretrained=True,
        num_classes=None)  # fmt: skip
    backbone = MODELS.build(cfg).eval()
    backbone.init_weights()
    images = torch.randn(2, 3, 32, 32)
    expected = theirs.vit(images).last_hidden_state[:, 0]
    torch.testing.assert_close(backbone(images)[0], expected)
    encoder = MODELS.build(dict(type='SelfSupervisedEncoder', backbone=cfg))
    encoder.init_weights()
    torch.testing.assert_close(encoder.eval().backbone(images)[0], expected)
