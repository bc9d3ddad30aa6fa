_base_ = [
    '../_base_/networks/efficientnet_b0_in1k.py',
    '../_base_/datasets/imagenet_10pct.py',
    '../_base_/schedules/finetune_10pct_20e.py',
    '../_base_/runtime.py',
]
