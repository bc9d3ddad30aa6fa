from __future__ import annotations

from mmdistill.checkpoints import atomic_save
from mmdistill.export.deployed import prepared_as
from mmdistill.export.formats import ExportFormat, ExportOptions
from mmdistill.export.students import Student
from mmdistill.registry import EXPORT_FORMATS


@EXPORT_FORMATS.register_module('mmpretrain')
class MMPretrainFormat(ExportFormat):
    """A classifier's file with its config."""

    about = (
        "a classifier's file with its config, as ExportStudentHook writes it; "
        'MMPretrain alone loads it, unless the student has parts of mmdistill'
    )
    normalizes = True

    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        atomic_save(student.checkpoint, path)
        return (
            f'its config needs default_scope={student.cfg.default_scope!r}; '
            f'{prepared_as(student)}'
        )
