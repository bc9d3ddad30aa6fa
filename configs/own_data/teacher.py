# The teacher, on your images; pretrained=True begins with timm's weights.
_base_ = [
    '../_base_/datasets/own_images.py',
    '../_base_/schedules/own_60e.py',
    '../_base_/runtime.py',
]
model = dict(type='timm/resnet34', num_classes=_base_.num_classes)
