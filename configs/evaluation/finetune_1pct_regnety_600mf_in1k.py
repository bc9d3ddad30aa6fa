_base_ = [
    '../_base_/networks/regnety_600mf_in1k.py',
    '../_base_/datasets/imagenet_1pct.py',
    '../_base_/schedules/finetune_1pct_20e.py',
    '../_base_/runtime.py',
]
