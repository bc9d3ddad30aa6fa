"""Collapse is measured in runs, which do not change."""

import json

import numpy as np
import pytest
import torch
from helpers import DropTuple, digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.evaluation import effective_rank, spread


def config(work_dir, interval=None, **hook):
    hooks = []
    if interval:
        hooks = [dict(type='CollapseMonitorHook', interval=interval, **hook)]
    cfg = digits_config(work_dir, custom_hooks=hooks)
    cfg.default_hooks.logger.interval = 1
    return cfg


def plain_classifier(cfg):
    """That does not validate: the last batch seen is a training one."""
    cfg.model = dict(
        tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
    )
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


def run(cfg, change=None):
    runner = DistillRunner.from_cfg(cfg)
    student = getattr(runner.model, 'student', runner.model)
    student.neck = torch.nn.Sequential(student.neck, DropTuple())
    if change is not None:
        change(student)
    heard = []
    runner.logger.warning = heard.append
    runner.train()
    runner.warnings = [text for text in heard if 'collapsing' in text]
    return runner


def history(runner, name):
    values = runner.message_hub.get_scalar(f'train/collapse/{name}').data
    return values[0].tolist()


def test_a_run_is_measured_and_not_changed(tmp_path):
    runner = run(config(tmp_path / 'seen', interval=3))
    plain = run(config(tmp_path / 'plain'))
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, runner.model.state_dict()[name]), name
    assert len(history(runner, 'std')) == len(history(runner, 'rank')) == 2
    assert 1 < min(history(runner, 'rank')) < max(history(runner, 'rank')) < 16
    assert all(0.1 < value < 1.1 for value in history(runner, 'std'))
    assert not runner.warnings
    (path,) = (tmp_path / 'seen').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    seen = [r['step'] for r in lines if 'collapse/std' in r and 'loss' in r]
    assert seen[0] == 3  # written in the iteration that it was measured in


def test_what_is_measured(tmp_path):
    """The pooled feature of the batch in eval mode, after the step."""
    seen = []

    def remember(student):
        original = student.data_preprocessor.forward
        student.data_preprocessor.forward = lambda data, training: (
            seen.append(data) or original(data, training)
        )

    cfg = plain_classifier(config(tmp_path, interval=6))
    runner = run(cfg, remember)
    model = runner.model.eval()
    images = model.data_preprocessor(seen[-1], False)['inputs']
    with torch.no_grad():
        feature = model.extract_feat(images)[0]
    assert history(runner, 'std') == [pytest.approx(float(spread(feature)))]
    rank = float(effective_rank(feature))
    assert history(runner, 'rank') == [pytest.approx(rank)]


def test_collapse_is_warned_of_once(tmp_path):
    def collapse(student):
        """The same map for every image, and it stays so."""
        torch.nn.init.zeros_(student.backbone.conv1.weight)
        torch.nn.init.ones_(student.backbone.bn1.bias)
        student.backbone.requires_grad_(False)
        student.init_weights = lambda: None

    runner = run(config(tmp_path, interval=1), collapse)
    assert max(history(runner, 'std')) < 1e-5
    assert max(history(runner, 'rank')) < 1.01
    (warning,) = runner.warnings
    assert 'min_std=0.1' in warning
    assert 'teacher temperature' in warning and 'momentum' in warning


def test_threshold(tmp_path):
    assert len(run(config(tmp_path, 3, min_std=5.0)).warnings) == 1


def test_first_view_of_a_classifier_that_sees_several(tmp_path):
    cfg = plain_classifier(config(tmp_path, interval=3))
    views = []

    def change(student):
        original = student.data_preprocessor.forward

        def forward(data, training=False):
            done = original(data, training)
            if not training:
                views.append(done['inputs'])
                other = torch.zeros_like(done['inputs'])
                done = dict(done, inputs=[done['inputs'], other])
            return done

        student.data_preprocessor.forward = forward

    runner = run(cfg, change)
    assert len(views) == 2 and min(history(runner, 'std')) > 0.1


def encoder(work_dir):
    cfg = plain_classifier(config(work_dir, interval=3))
    cfg.model = dict(
        type='SelfSupervisedEncoder',
        backbone=tiny_classifier()['backbone'],
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='ProjectionHead', in_dim=16, out_dim=6),
        prototypes=dict(type='PrototypeHead', in_dim=6, num_prototypes=12),
        data_preprocessor=dict(cfg.model.data_preprocessor),
    )
    return cfg


def test_embeddings_and_prototypes(tmp_path, monkeypatch):
    from mmdistill.models import SelfSupervisedEncoder

    def loss(self, inputs, data_samples=None, mode='tensor'):
        if mode != 'loss':
            return forward(self, inputs, data_samples, mode)
        return dict(loss=forward(self, inputs).logits.pow(2).mean())

    forward = SelfSupervisedEncoder.forward
    monkeypatch.setattr(SelfSupervisedEncoder, 'forward', loss)
    runner = DistillRunner.from_cfg(encoder(tmp_path))
    runner.train()
    assert max(history(runner, 'rank')) <= 6  # the embedding's width
    assert all(0 < x <= 1 for x in history(runner, 'prototype_entropy'))
    used = np.array(history(runner, 'prototype_usage')) * 12
    np.testing.assert_allclose(used, used.round(), atol=1e-5)
    assert used.min() >= 1
