_base_ = [
    '../_base_/networks/mocov2_resnet18_in1k.py',
    '../_base_/datasets/imagenet_two_views_mocov2.py',
    '../_base_/schedules/mocov2_100e.py',
    '../_base_/runtime_ssl.py',
]
