"""What a small step is said to take is what it takes."""

import torch
from helpers import digits_config

from mmdistill.engine.doctor.dry_step import (
    build_model,
    dry_step,
    memory_bytes,
)


def config(tmp_path, **losses):
    cfg = digits_config(tmp_path)
    cfg.model.losses = dict(kd=dict(type='KDLoss'), **losses)
    cfg.model.teacher_ckpt = None
    return cfg


def test_banks_and_queues(tmp_path):
    crd = dict(type='CRDLoss', embed_dim=8, num_negatives=4)
    model = build_model(config(tmp_path, crd=crd))
    assert memory_bytes(model, 100) == 2 * 100 * 8 * 4
    half = dict(crd, bank_dtype='float16')
    assert memory_bytes(build_model(config(tmp_path, crd=half)), 100) == (
        2 * 100 * 8 * 2
    )
    queue = dict(crd, queue_size=16)
    assert memory_bytes(build_model(config(tmp_path, crd=queue)), 100) == (
        2 * 16 * 8 * 4 + 16 * 2 * 8
    )


def test_activations_grow_with_the_batch_and_weights_stay(tmp_path):
    cfg = config(tmp_path)
    model = build_model(cfg)
    before = {k: v.clone() for k, v in model.named_parameters()}
    few = dry_step(model, cfg.train_dataloader, 4)
    more = dry_step(model, cfg.train_dataloader, 8)
    assert (few.images, more.images) == (4, 8)
    assert 1.8 < more.activations / few.activations < 2.1
    assert 0 < few.seconds < 60
    assert all(
        torch.equal(before[k], v.cpu()) for k, v in model.named_parameters()
    )


def test_a_loss_that_needs_more(tmp_path):
    cfg = config(tmp_path, rkd=dict(type='RKDLoss'))
    model = build_model(cfg)
    assert dry_step(model, cfg.train_dataloader, 1).images > 1
