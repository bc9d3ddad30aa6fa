"""Two views of whole batches."""

from functools import partial

import numpy as np
import torch
from helpers import digits_config, tiny_classifier

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS, TRANSFORMS


def build(name, **kwargs):
    return MODELS.build(dict(type=f'{name}Preprocessor', **kwargs))


two_views = partial(build, 'BatchAugment', num_views=2)


def uint8(count=6, size=(32, 32), channels=3):
    return torch.randint(0, 256, (count, channels, *size), dtype=torch.uint8)


def test_cocord_runs_on_whole_batches(tmp_path):
    move = dict(type='MomentumUpdateHook', momentum=0.9)
    cfg = digits_config(tmp_path)
    cfg.default_hooks.update(
        slow_student=dict(move, source='student', target='slow_student'),
        slow_head=dict(move, source='student_head', target='slow_head'),
        teacher_head=dict(move, source='student_head', target='teacher_head'),
        queue=dict(type='QueueHook', prefill=20),
    )
    cfg.model = dict(
        type='CoCoRD',
        student=tiny_classifier(),
        teacher=tiny_classifier(depth=14),
        losses=dict(
            contrastive=dict(type='InfoNCELoss', queue_size=20),
            prediction=dict(
                type='PredictionLoss',
                target='slow_student',
                predictor=dict(type='PredictorHead'),
            ),
        ),
        head=dict(type='ProjectionHead', out_dim=6),
        input_size=(1, 8, 8),
        data_preprocessor=dict(
            type='BatchAugmentPreprocessor',
            mean=[73.2],
            std=[90.24],
            crop_padding=1,
            num_views=2,
        ),
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        inner = loader.dataset.to_dict()
        inner.pop('pipeline')
        loader.dataset = dict(type='ImageTensorDataset', dataset=inner)
        loader.collate_fn = dict(type='batch_collate')
    runner = DistillRunner.from_cfg(cfg)
    seen = []
    runner.model.student.backbone.register_forward_pre_hook(
        lambda module, args: seen.append((module.training, args[0]))
    )
    runner.train()
    model = runner.model
    assert len(model.losses.contrastive.queue) == 20
    assert all(p.isfinite().all() for p in model.state_dict().values())
    # two views of 96 images, and of the 32 that fill the queue beforehand;
    # 100 images in two batches of validation
    trained = [images for training, images in seen if training]
    tested = [images for training, images in seen if not training]
    assert [len(images) for images in trained] == 6 * [64]
    assert [len(images) for images in tested] == [64] + 4 * [50]
    first, second = torch.cat([x.view(2, 32, -1) for x in trained], 1)
    equal = (first == second).all(1).sum()
    assert 0 < equal < 40  # once in 18, of 192


def test_the_pipelines_flip_is_ours():
    """A flip of the per-image pipeline is the same mirror image."""
    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=1.0))
    image = uint8(1)
    theirs = flip(dict(img=image[0].permute(1, 2, 0).numpy()))['img']
    ours = two_views(crop_padding=0, flip_prob=1.0).views(image)
    for view in ours:
        assert np.array_equal(view[0].permute(1, 2, 0).numpy(), theirs)
