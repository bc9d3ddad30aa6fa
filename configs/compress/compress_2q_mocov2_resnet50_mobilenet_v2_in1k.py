_base_ = [
    '../_base_/pairs/mocov2_resnet50_mobilenet_v2_ssl_in1k.py',
    '../_base_/methods/compress_2q.py',
    '../_base_/datasets/imagenet_knn.py',
    '../_base_/schedules/compress_130e.py',
    '../_base_/runtime_ssl.py',
]
model = _base_.method
default_hooks = _base_.method_hooks
