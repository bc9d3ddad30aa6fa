"""torchvision's numbers by their names."""

import pytest
from detection_data import build

from mmdistill.models.dense.c4 import SharedRoIHeads


def test_numbers_reach_torchvision():
    model = build(
        rpn=dict(rpn_nms_thresh=0.6, rpn_batch_size_per_image=17),
        roi=dict(box_score_thresh=0.3, bbox_reg_weights=(1, 1, 1, 1)),
        mean=(51, 102, 153),
        std=(25.5, 51, 255),
        aspect_ratios=(1.0,),
    )
    assert model.rpn.nms_thresh == 0.6
    assert model.rpn.fg_bg_sampler.batch_size_per_image == 17
    assert model.roi_heads.score_thresh == 0.3
    assert model.roi_heads.box_coder.weights == (1, 1, 1, 1)
    assert model.transform.image_mean == pytest.approx([0.2, 0.4, 0.6])
    assert model.transform.image_std == pytest.approx([0.1, 0.2, 1.0])
    assert model.rpn.head.cls_logits.out_channels == 1
    shared = build(type='MaskRCNN', neck='c4', roi=dict(box_nms_thresh=0.4))
    assert isinstance(shared.roi_heads, SharedRoIHeads)
    assert shared.roi_heads.nms_thresh == 0.4
    assert shared.roi_heads.detections_per_img == 100  # torchvision's
