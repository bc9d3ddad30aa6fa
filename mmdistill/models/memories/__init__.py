"""What the losses remember: buffers that are global, saved and resumed."""

from mmdistill.models.memories.feature_queue import FeatureQueue
from mmdistill.models.memories.instance_bank import InstanceBank

__all__ = ['FeatureQueue', 'InstanceBank']
