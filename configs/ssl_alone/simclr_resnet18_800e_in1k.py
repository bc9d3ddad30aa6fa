_base_ = [
    '../_base_/networks/simclr_resnet18_in1k.py',
    '../_base_/datasets/imagenet_two_views_simclr.py',
    '../_base_/schedules/simclr_800e.py',
    '../_base_/runtime_ssl.py',
]
