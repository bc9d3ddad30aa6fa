_base_ = [
    '../_base_/networks/resnet50_in1k.py',
    '../_base_/methods/linear_probe.py',
    '../_base_/datasets/imagenet_linear_dino.py',
    '../_base_/schedules/linear_dino_100e.py',
    '../_base_/runtime.py',
]
model = _base_.method
