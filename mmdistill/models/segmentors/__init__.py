"""torchvision's segmentation heads on distilled backbones."""

from mmdistill.models.segmentors.fcn import FCN

__all__ = ['FCN']
