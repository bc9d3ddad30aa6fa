"""Memories of the losses: buffers shared by all processes and checkpointed."""

from mmdistill.models.memories.feature_queue import FeatureQueue
from mmdistill.models.memories.instance_bank import InstanceBank

__all__ = ['FeatureQueue', 'InstanceBank']
