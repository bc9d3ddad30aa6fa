"""Views of one size go through a network together; the teacher sees some."""

import numpy as np
import pytest
import torch
from helpers import digits_config, tiny_classifier
from mmpretrain.datasets import BaseDataset

from mmdistill.engine.runner import DistillRunner
from mmdistill.models import OfflineDistiller, RepresentationReader
from mmdistill.models.distillers.views import global_views, read_views
from mmdistill.registry import DATASETS, MODELS

FIELDS = 'feature', 'embedding', 'logits'


def views_of(*sizes, count=5, channels=1):
    return [torch.randn(count, channels, size, size) for size in sizes]


@pytest.mark.parametrize(
    'sizes, forwards, leading',
    [((8,), 1, 1), ((8, 8), 1, 2), ((8, 8, 4, 4, 4), 2, 2),
     ((8, 4, 4), 2, 1), ((8, 4, 8), 3, 1)])  # fmt: skip
def test_one_forward_a_size(sizes, forwards, leading):
    model = MODELS.build(tiny_classifier()).eval()
    reader = RepresentationReader(model)
    reader.numbers = (1, 3)
    batches = []
    model.backbone.register_forward_pre_hook(
        lambda _, args: batches.append(args[0].shape)
    )
    views = views_of(*sizes)
    got = read_views(reader, views)
    assert len(batches) == forwards
    assert sum(shape[0] for shape in batches) == 5 * len(sizes)
    assert global_views(views) == leading
    expected = [reader(view) for view in views]
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for field in FIELDS:
            a, b = getattr(one, field), getattr(other, field)
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b)
        for a, b in zip(one.maps, other.maps, strict=True):
            torch.testing.assert_close(a, b)


def test_a_view_of_another_shape_is_not_global():
    tall = torch.randn(5, 1, 8, 4)
    assert global_views([*views_of(8, 8), tall]) == 2


@MODELS.register_module()
class LocalToGlobalDistiller(OfflineDistiller):
    """Every view of the student learns the teacher's first view."""

    own_losses = tuple(f'view{i}' for i in range(5))

    def __init__(self, **kwargs):
        super().__init__(losses={}, **kwargs)

    def loss(self, inputs, data_samples=None):
        student = read_views(self.student_reader, inputs)
        seen = inputs[: global_views(inputs)]
        teacher = read_views(self.targets['teacher'].reader, seen)
        assert [len(teacher), len(student)] == [2, 5]
        return {
            f'view{i}': (view.logits - teacher[0].logits).square().mean()
            for i, view in enumerate(student)
        }


@DATASETS.register_module()
class OddImages(BaseDataset):
    """Random images of several sizes, or all of 32 pixels."""

    def __init__(self, odd, **kwargs):
        self.sizes = [(37, 50), (32, 32), (61, 20)] if odd else [(32, 32)]
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self):
        draw = np.random.RandomState(0)
        shapes = [(*self.sizes[i % len(self.sizes)], 3) for i in range(24)]
        return [
            dict(img=draw.randint(0, 256, shape).astype('u1'), gt_label=i % 10)
            for i, shape in enumerate(shapes)
        ]


CROPS = dict(num_global=2, num_local=3, global_size=32, local_size=16)
PACK = dict(type='PackInputs')
FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')


def per_image(cfg):
    cfg.train_dataloader.dataset = dict(
        type='OddImages',
        odd=True,
        pipeline=[
            dict(
                type='MultiCrop',
                global_transforms=[FLIP],
                local_transforms=[FLIP],
                **CROPS,
            ),
            PACK,
        ],
    )


def on_the_device(cfg):
    cfg.train_dataloader.collate_fn = dict(type='batch_collate')
    cfg.train_dataloader.dataset = dict(
        type='ImageTensorDataset', dataset=dict(type='OddImages', odd=False)
    )
    cfg.model.data_preprocessor.update(
        type='MultiCropPreprocessor', blur_prob=0.5, brightness=0.4, **CROPS
    )


@pytest.mark.parametrize('source', [per_image, on_the_device])
def test_real_run(tmp_path, source):
    cfg = digits_config(tmp_path)
    student, teacher = tiny_classifier(), tiny_classifier(depth=14)
    student['backbone']['in_channels'] = 3
    teacher['backbone']['in_channels'] = 3
    cfg.model = dict(
        type='LocalToGlobalDistiller',
        student=student,
        teacher=teacher,
        data_preprocessor=dict(mean=[128.0] * 3, std=[64.0] * 3),
    )
    cfg.train_dataloader.batch_size = 8
    source(cfg)
    cfg.val_dataloader.dataset = dict(
        type='OddImages',
        odd=True,
        pipeline=[dict(type='Resize', scale=(32, 32)), PACK],
    )
    runner = DistillRunner.from_cfg(cfg)
    seen = dict(student=[], teacher=[])
    for name, model in (
        ('student', runner.model.student),
        ('teacher', runner.model.teacher),
    ):
        model.backbone.register_forward_pre_hook(
            lambda module, args, name=name: seen[name].append(
                (module.training, tuple(args[0].shape))
            )
        )
    before = runner.model.student.head.fc.weight.clone()
    runner.train()
    assert not torch.equal(runner.model.student.head.fc.weight, before)
    # three steps in each of two epochs, and 24 images validated after each
    step = [(True, (16, 3, 32, 32)), (True, (24, 3, 16, 16))]
    assert seen['student'] == 2 * (3 * step + [(False, (24, 3, 32, 32))])
    assert seen['teacher'] == 6 * [(False, (16, 3, 32, 32))]
