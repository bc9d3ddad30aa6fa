# A detector of few parts on the thin ResNet-18 of transfer_digits. Its images
# are normalized as those that the backbone was distilled on.
backbone = dict(
    type='ResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    out_indices=(0, 1, 2, 3),
)
model = dict(
    type='FasterRCNN',
    backbone=backbone,
    num_classes=10,
    fpn_width=64,
    anchor_sizes=((16,), (24,), (32,), (40,), (48,)),
    norm='tuned',
    min_size=64,
    max_size=96,
    mean=[127.5] * 3,
    std=[60.0] * 3,
    rpn=dict(
        rpn_pre_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=100,
        rpn_post_nms_top_n_test=50,
        rpn_batch_size_per_image=64,
    ),
    roi=dict(box_batch_size_per_image=32, box_detections_per_img=20),
)
