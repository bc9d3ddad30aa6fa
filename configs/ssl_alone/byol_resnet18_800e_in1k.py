_base_ = [
    '../_base_/networks/byol_resnet18_in1k.py',
    '../_base_/datasets/imagenet_two_views_byol.py',
    '../_base_/schedules/simclr_800e.py',
    '../_base_/runtime_ssl.py',
]
