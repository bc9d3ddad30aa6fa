"""Which registry the place of a part implies."""

from mmdistill import registry
from mmdistill.engine.doctor.typed_parts import parts


def kinds(cfg: dict) -> dict[str, tuple]:
    return {part.key: (part.registry, part.kind) for part in parts(cfg)}


def test_the_place_says_which_registry():
    image = dict(type='ImageNet', pipeline=[dict(type='PackInputs')])
    found = kinds(
        dict(
            model=dict(
                type='OfflineDistiller',
                student=dict(
                    type='ImageClassifier',
                    backbone=dict(
                        type='ResNet',
                        norm_cfg=dict(type='BN'),
                        init_cfg=dict(type='Pretrained'),
                    ),
                    train_cfg=dict(augments=dict(type='Mixup')),
                ),
                teachers=dict(big=dict(model=dict(type='timm/resnet50'))),
                losses=dict(kd=dict(type='KDLoss')),
            ),
            data_preprocessor=dict(mean=[0]),
            train_dataloader=dict(
                dataset=dict(type='RepeatDataset', dataset=image),
                sampler=dict(type='DefaultSampler'),
            ),
            val_cfg=dict(),
            val_evaluator=[dict(type='Accuracy')],
            train_cfg=dict(by_epoch=False),
            optim_wrapper=dict(optimizer=dict(type='SGD')),
            param_scheduler=[dict(type='MultiStepLR')],
            default_hooks=dict(
                logger=dict(interval=1), mine=dict(type='EMAHook'), odd={}
            ),
        )
    )
    data = 'train_dataloader.dataset'
    backbone = 'model.student.backbone'
    assert found == {
        'model': (registry.MODELS, 'OfflineDistiller'),
        'model.student': (registry.MODELS, 'ImageClassifier'),
        backbone: (registry.MODELS, 'ResNet'),
        f'{backbone}.init_cfg': (registry.WEIGHT_INITIALIZERS, 'Pretrained'),
        'model.student.train_cfg.augments': (registry.BATCH_AUGMENTS, 'Mixup'),
        'model.teachers.big.model': (registry.MODELS, 'timm/resnet50'),
        'model.losses.kd': (registry.MODELS, 'KDLoss'),
        'data_preprocessor': (registry.MODELS, 'ClsDataPreprocessor'),
        data: (registry.DATASETS, 'RepeatDataset'),
        f'{data}.dataset': (registry.DATASETS, 'ImageNet'),
        f'{data}.dataset.pipeline.0': (registry.TRANSFORMS, 'PackInputs'),
        'train_dataloader.sampler': (registry.DATA_SAMPLERS, 'DefaultSampler'),
        'val_cfg': (registry.LOOPS, 'ValLoop'),
        'val_evaluator.0': (registry.METRICS, 'Accuracy'),
        'train_cfg': (registry.LOOPS, 'IterBasedTrainLoop'),
        'optim_wrapper': (registry.OPTIM_WRAPPERS, 'OptimWrapper'),
        'optim_wrapper.optimizer': (registry.OPTIMIZERS, 'SGD'),
        'param_scheduler.0': (registry.PARAM_SCHEDULERS, 'MultiStepLR'),
        'default_hooks.logger': (registry.HOOKS, 'LoggerHook'),
        'default_hooks.mine': (registry.HOOKS, 'EMAHook'),
    }


def test_a_preprocessor_without_a_type_is_its_models():
    images = dict(mean=[0])
    for model, kind in (
        ('ImageClassifier', 'ClsDataPreprocessor'),
        ('FasterRCNN', 'DetectionPreprocessor'),
    ):
        model = dict(type=model)
        found = kinds(dict(model=model, data_preprocessor=images))
        assert found['data_preprocessor'][1] == kind
    # of another library's model nobody knows
    model = dict(type='SimCLR', data_preprocessor=images)
    assert 'model.data_preprocessor' not in kinds(dict(model=model))


def test_transforms_of_other_libraries_are_theirs():
    flip = [dict(type='RandomFlip')]
    for owner, there in (
        ('RandomApply', True),
        ('mmcv.RandomApply', True),
        ('Albumentations', False),
    ):
        pipeline = [dict(type=owner, transforms=flip)]
        cfg = dict(val_dataloader=dict(dataset=dict(pipeline=pipeline)))
        key = 'val_dataloader.dataset.pipeline.0.transforms.0'
        assert (key in kinds(cfg)) == there


def test_several_optimizers_have_schedulers_by_name():
    one = dict(type='MultiStepLR', milestones=[1])
    found = kinds(dict(param_scheduler=dict(student=[one], peer=one)))
    assert {*found} == {'param_scheduler.student.0', 'param_scheduler.peer'}
