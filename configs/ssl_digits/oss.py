# OSS: SwAV with a ResNet-14 teaches a thin ResNet-8 while it learns.
_base_ = [
    '../_base_/pairs/resnet14_resnet8_ssl_digits.py',
    '../_base_/datasets/digits_crops.py',
    '../_base_/schedules/digits_60e.py',
    '../_base_/runtime_ssl.py',
]
head = dict(_base_.head, dropout=(0.1, 0.05))
model = dict(
    type='OSS',
    student=dict(_base_.student, head=head),
    teacher=dict(_base_.teacher, head=head, prototypes=None),
    feature_classifier=dict(type='FeatureClassifier'),
    queue_size=512,
)
default_hooks = dict(
    queue=dict(type='QueueHook', start_epoch=5),
    knn_teacher=dict(
        type='KNNHook',
        part='teacher',
        interval=10,
        k=(20,),
        bank_dataloader=_base_.val_cfg.bank_dataloader,
    ),
)
