# MoCo's detector: the backbone up to stride 16 proposes, its last stage and an
# extra batch norm classify; all batch norms learn, synchronised. Numbers of
# proposals are those of Detectron2's C4 networks. Classes are VOC's.
model = dict(
    type='FasterRCNN',
    neck='c4',
    norm='sync',
    num_classes=20,
    min_size=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800),
    max_size=1333,
    rpn=dict(
        rpn_pre_nms_top_n_train=12000,
        rpn_pre_nms_top_n_test=6000,
        rpn_post_nms_top_n_train=2000,
        rpn_post_nms_top_n_test=1000,
    ),
)
