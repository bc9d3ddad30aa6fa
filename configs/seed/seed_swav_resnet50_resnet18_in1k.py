_base_ = [
    '../_base_/pairs/swav_resnet50_resnet18_ssl_in1k.py',
    '../_base_/methods/seed.py',
    '../_base_/datasets/imagenet_one_view.py',
    '../_base_/schedules/seed_100e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
