_base_ = [
    '../_base_/networks/regnety_600mf_in1k.py',
    '../_base_/methods/linear_probe.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/linear_100e.py',
    '../_base_/runtime.py',
]
model = _base_.method
