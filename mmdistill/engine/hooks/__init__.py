"""Hooks: they know attribute paths and events, and nothing of maths."""

from mmdistill.engine.hooks.attribute_schedule_hook import (
    AttributeScheduleHook,
)
from mmdistill.engine.hooks.checkpoint_hook import CheckpointHook
from mmdistill.engine.hooks.class_names_hook import ClassNamesHook
from mmdistill.engine.hooks.collapse_hook import CollapseMonitorHook
from mmdistill.engine.hooks.dense_visualization_hook import (
    DenseVisualizationHook,
)
from mmdistill.engine.hooks.export_student_hook import ExportStudentHook
from mmdistill.engine.hooks.finite_loss_hook import FiniteLossHook
from mmdistill.engine.hooks.freeze_hook import FreezeHook
from mmdistill.engine.hooks.momentum_update_hook import MomentumUpdateHook
from mmdistill.engine.hooks.queue_hook import QueueHook
from mmdistill.engine.hooks.ramp_up_hook import RampUpHook
from mmdistill.engine.hooks.report_hook import ReportHook
from mmdistill.engine.hooks.resume_state_hook import ResumeStateHook
from mmdistill.engine.hooks.resumed_settings_hook import ResumedSettingsHook
from mmdistill.engine.hooks.strict_load_hook import StrictLoadHook
from mmdistill.engine.hooks.teacher_check_hook import TeacherCheckHook
from mmdistill.engine.knn import KNNHook

__all__ = [
    'AttributeScheduleHook',
    'CheckpointHook',
    'ClassNamesHook',
    'CollapseMonitorHook',
    'ExportStudentHook',
    'FiniteLossHook',
    'FreezeHook',
    'KNNHook',
    'MomentumUpdateHook',
    'QueueHook',
    'RampUpHook',
    'ReportHook',
    'ResumeStateHook',
    'ResumedSettingsHook',
    'StrictLoadHook',
    'TeacherCheckHook',
    'DenseVisualizationHook',
]
