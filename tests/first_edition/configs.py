"""Runs as the first edition's configs had them, on a very thin network."""

import copy
from pathlib import Path

from helpers import digits_config
from mmengine.model import BaseModule
from torch import nn

from mmdistill.registry import MODELS


@MODELS.register_module()
class ThinBackbone(BaseModule):
    """Two stages of one convolution each, for 8x8 digits."""

    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return (self.last(self.norm(self.stem(x)).relu()).relu(),)


GAP = dict(type='GlobalAveragePooling')
HEAD = dict(type='ProjectionHead', hidden_dim=5, out_dim=4)
PROTOTYPES = dict(type='PrototypeHead', num_prototypes=6)


def classifier(width=4):
    return dict(
        type='ImageClassifier',
        backbone=dict(type='ThinBackbone', width=width),
        neck=GAP,
        head=dict(type='LinearClsHead', num_classes=10, in_channels=width),
    )


def encoder(width=4, prototypes=PROTOTYPES, **head):
    return dict(
        type='SelfSupervisedEncoder',
        backbone=dict(type='ThinBackbone', width=width),
        neck=GAP,
        head={**HEAD, **head},
        prototypes=prototypes,
    )


def queue(size):
    return dict(type='FeatureQueue', size=size)


def move(source, target):
    return dict(
        type='MomentumUpdateHook',
        source=source,
        target=target,
        momentum=0.9,
    )


MODEL = dict(
    cocord=dict(
        type='CoCoRD',
        student=classifier(),
        teacher=classifier(),
        head=HEAD,
        predictor=dict(type='PredictorHead', hidden_dim=3),
        queue_size=12,
        temperature=0.2,
        contrastive_weight=0.5,
        prediction_weight=3.0,
        # With parameters of its own, which came before the predictor's.
        losses=dict(hint=dict(type='FeatureRegressionLoss')),
    ),
    oss=dict(
        type='OSS',
        student=encoder(dropout=(0.1, 0.05)),
        teacher=encoder(6, None, dropout=(0.1, 0.05)),
        feature_classifier=dict(type='FeatureClassifier'),
        queue_size=12,
    ),
    seed=dict(
        type='OfflineDistiller',
        student=encoder(prototypes=None),
        teacher=encoder(6, None),
        losses=dict(seed=dict(type='SEEDLoss')),
        memories=dict(queue=queue(12)),
        task_weight=0,
    ),
    compress=dict(
        type='OfflineDistiller',
        student=encoder(prototypes=None),
        teacher=encoder(6, None),
        losses=dict(compress=dict(type='CompRessLoss')),
        memories=dict(student_queue=queue(12), teacher_queue=queue(12)),
        memory_encoder='slow_student',
        task_weight=0,
    ),
    dino=dict(
        type='SelfDistiller',
        student=encoder(),
        losses=dict(dino=dict(type='DINOLoss'), cpc=dict(type='ProtoCPCLoss')),
    ),
    ft=dict(
        type='OfflineDistiller',
        student=classifier(),
        teacher=classifier(6),
        losses=dict(ft=dict(type='FTLoss', loss_weight=5.0)),
    ),
)
HOOKS = dict(
    cocord=[
        move('student', 'slow_student'),
        move('student_head', 'slow_head'),
        move('student_head', 'teacher_head'),
        dict(type='QueueHook', prefill=12),
    ],
    oss=[
        dict(type='FreezeHook', module='student.prototypes', iters=1),
        dict(type='QueueHook'),
    ],
    seed=[dict(type='QueueHook')],
    compress=[
        move('student', 'slow_student'),
        dict(type='QueueHook', prefill=12),
    ],
    dino=[move('student', 'teacher')],
    ft=[],
)
CROP = dict(type='RandomCrop', crop_size=8, padding=1)
TWO_VIEWS = dict(type='MultiView', num_views=[2], transforms=[[CROP]])
CROPS = dict(
    type='MultiCrop',
    num_local=1,
    global_size=8,
    local_size=4,
    global_scale=(0.5, 1.0),
    local_scale=(0.2, 0.5),
)
VIEWS = dict(
    cocord=TWO_VIEWS,
    oss=CROPS,
    seed=CROPS,
    compress=CROP,
    dino=CROPS,
    ft=CROP,
)


#: Frozen teachers, by the type and the width of the network.
TEACHERS = dict(
    classifier_4=classifier(),
    classifier_6=classifier(6),
    encoder_6=encoder(6, None),
)
TEACHER_OF = dict(
    cocord='classifier_4',
    seed='encoder_6',
    compress='encoder_6',
    ft='classifier_6',
)
HERE = Path(__file__).parent


def config(name, work_dir, epochs, folder=HERE, **kwargs):
    """A run of two steps an epoch, with teachers of a folder."""
    hooks = [
        dict(type='ResumeStateHook'),
        *HOOKS[name],
        dict(type='ExportStudentHook'),
    ]
    cfg = digits_config(work_dir, custom_hooks=hooks, **kwargs)
    cfg.model = copy.deepcopy(MODEL[name]) | dict(
        data_preprocessor=dict(mean=[120.0], std=[60.0]), input_size=(1, 8, 8)
    )
    if name in TEACHER_OF:
        teacher = f'teacher_{TEACHER_OF[name]}.pth'
        cfg.model.teacher_ckpt = f'{folder}/{teacher}'
    cfg.optim_wrapper.optimizer.lr = 0.5
    loader = cfg.train_dataloader
    loader.batch_size = 8
    loader.dataset.indices = 16
    loader.dataset.pipeline = [VIEWS[name], dict(type='PackInputs')]
    loader.collate_fn = dict(type='default_collate')
    for part in ('val', 'test'):
        for key in ('cfg', 'dataloader', 'evaluator'):
            cfg[f'{part}_{key}'] = None
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs)
    if name == 'ft':
        cfg.train_cfg = dict(
            type='StagedTrainLoop',
            max_epochs=epochs - 1,
            first_stage_epochs=1,
            first_stage_optim_wrapper=dict(
                optimizer=dict(type='Adam', lr=0.01)
            ),
        )
    return cfg
