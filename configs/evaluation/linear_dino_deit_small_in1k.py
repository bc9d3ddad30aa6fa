# The class tokens of the last four blocks, joined, each behind the last norm.
_base_ = [
    '../_base_/networks/deit_small_in1k.py',
    '../_base_/methods/linear_probe.py',
    '../_base_/datasets/imagenet_linear_dino.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/runtime.py',
]
model = dict(
    type=_base_.method.type,
    backbone=dict(
        type='NormedVisionTransformer',
        out_indices=(8, 9, 10, 11),
        out_type='raw',
    ),
    neck=dict(_delete_=True, type='ClassTokensNeck'),
    head=dict(in_channels=4 * 384),
)
