# "Online KD" of the ImageNet comparison (ProtoCPC, Table 3): three branches of
# a ResNet-18, as in ONE, with the benchmark's 100 epochs.
_base_ = [
    '../_base_/peers/resnet34_in1k.py',
    '../_base_/methods/one.py',
    '../_base_/datasets/imagenet_peers.py',
    '../_base_/schedules/imagenet_100e.py',
    '../_base_/runtime.py',
]
model = dict(**_base_.method, num_peers=3, mode='branch', cut=3)
model['student'] = dict(backbone=dict(depth=18))
train_dataloader = dict(batch_size=256)  # the benchmark's
