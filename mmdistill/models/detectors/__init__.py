"""torchvision's detectors on distilled backbones."""

from mmdistill.models.detectors.faster_rcnn import FasterRCNN
from mmdistill.models.detectors.mask_rcnn import MaskRCNN

__all__ = ['FasterRCNN', 'MaskRCNN']
