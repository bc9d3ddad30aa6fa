"""Annotations become torchvision's targets."""

import pytest
import torch
from detection_data import build, losses_of, prepared, sample


def broken(**fields):
    items = [sample(0), sample(7)]
    for name, value in fields.items():
        getattr(items[1]['data_samples'].gt_instances, name)[1] = value
    return {k: [item[k] for item in items] for k in items[0]}


def test_labels_and_boxes_are_checked():
    model = build(type='MaskRCNN').train()
    for label in (3, -1):
        with pytest.raises(ValueError, match=rf"'7.png' has the label {label}"
                           '.*model.num_classes=3'):  # fmt: skip
            losses_of(model, model.data_preprocessor(broken(labels=label)))
    flat = torch.tensor([5.0, 5.0, 5.0, 9.0])
    with pytest.raises(ValueError, match=r"'7.png' has the box \[5.0, 5.0"):
        losses_of(model, model.data_preprocessor(broken(bboxes=flat)))
    with pytest.raises(ValueError, match='0.png.*with_masks=True'):
        losses_of(model, prepared(model, with_masks=False))
    with pytest.raises(RuntimeError, match='model.train'):
        losses_of(model.eval(), prepared(model))
    with pytest.raises(RuntimeError, match="mode='losses'"):
        model(**prepared(model), mode='losses')
