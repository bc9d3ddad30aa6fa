# A feature pyramid in place of C4, for networks of any kind, and torchvision's
# numbers; the rest as in c4_transfer.py. Classes are VOC's.
model = dict(
    type='FasterRCNN',
    neck='fpn',
    fpn_norm=True,
    norm='sync',
    num_classes=20,
    min_size=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800),
    max_size=1333,
)
