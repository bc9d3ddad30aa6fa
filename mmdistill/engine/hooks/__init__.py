"""Hooks: they know attribute paths and events, and nothing of maths."""

from mmdistill.engine.hooks.export_student_hook import ExportStudentHook
from mmdistill.engine.hooks.model_hook import ModelHook
from mmdistill.engine.hooks.momentum_update_hook import MomentumUpdateHook
from mmdistill.engine.hooks.queue_hook import QueueHook
from mmdistill.engine.hooks.resume_state_hook import ResumeStateHook
from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
from mmdistill.engine.hooks.teacher_check_hook import TeacherCheckHook

__all__ = [
    'ExportStudentHook',
    'ModelHook',
    'MomentumUpdateHook',
    'QueueHook',
    'ResumeStateHook',
    'StrictLoadHook',
    'TeacherCheckHook',
]
