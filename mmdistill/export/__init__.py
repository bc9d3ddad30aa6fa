"""Students that leave: as checkpoints, in other layouts, as graphs."""

from mmdistill.export.formats import (
    ExportFormat,
    ExportOptions,
    export_student,
)
from mmdistill.export.mmdet import MMDetFormat
from mmdistill.export.mmpretrain import MMPretrainFormat
from mmdistill.export.onnx import ONNXFormat
from mmdistill.export.student_checkpoint import student_checkpoint
from mmdistill.export.students import ExportError, Student, load_student
from mmdistill.export.timm import TimmFormat
from mmdistill.export.torch_export import TorchExportFormat
from mmdistill.export.torchvision import TorchvisionFormat

__all__ = [
    'ExportError',
    'ExportFormat',
    'ExportOptions',
    'MMDetFormat',
    'MMPretrainFormat',
    'ONNXFormat',
    'Student',
    'TimmFormat',
    'TorchExportFormat',
    'TorchvisionFormat',
    'export_student',
    'load_student',
    'student_checkpoint',
]
