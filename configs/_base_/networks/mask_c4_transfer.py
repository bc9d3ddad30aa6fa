# MoCo's detector for COCO, with masks and longer shortest sides.
_base_ = './c4_transfer.py'
model = dict(
    type='MaskRCNN',
    num_classes=80,
    min_size=(640, 672, 704, 736, 768, 800),
)
