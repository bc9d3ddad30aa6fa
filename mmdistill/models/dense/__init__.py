"""Dense prediction: torchvision's detectors and FCN on distilled backbones."""

from mmdistill.models.dense.faster_rcnn import FasterRCNN
from mmdistill.models.dense.fcn import FCN
from mmdistill.models.dense.mask_rcnn import MaskRCNN

__all__ = ['FCN', 'FasterRCNN', 'MaskRCNN']
