"""Memories of the losses: buffers shared by all processes and checkpointed."""

from mmdistill.models.memories.feature_queue import FeatureQueue
from mmdistill.models.memories.instance_bank import InstanceBank
from mmdistill.models.memories.running_mean import RunningMean

__all__ = ['FeatureQueue', 'InstanceBank', 'RunningMean']
