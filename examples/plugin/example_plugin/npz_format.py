import numpy as np

from mmdistill.checkpoints import replacing
from mmdistill.export import ExportFormat, ExportOptions
from mmdistill.export.deployed import prepared_as
from mmdistill.export.students import Student
from mmdistill.registry import EXPORT_FORMATS


@EXPORT_FORMATS.register_module('npz')
class NumPyFormat(ExportFormat):
    """One array for each tensor of the student, by its name."""

    about = 'the weights as NumPy arrays'
    suffixes = ('.npz',)

    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        state = student.model.state_dict()
        with replacing(path) as file:  # whole, or not at all
            np.savez(file, **{key: x.numpy() for key, x in state.items()})
        return prepared_as(student)
