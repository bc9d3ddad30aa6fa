"""Checkpoints: read as data, loaded whole, replaced atomically."""

from mmdistill.checkpoints.policy import load_checkpoint, loading_policy
from mmdistill.checkpoints.reading import (
    CheckpointError,
    checkpoints_are_trusted,
    load_file,
    trust_checkpoints,
)
from mmdistill.checkpoints.weights import (
    classes_of,
    load_partly,
    load_strictly,
    names_of,
    require_finite,
    state_dict_of,
)
from mmdistill.checkpoints.writing import (
    atomic_save,
    clear_temporary,
    replacing,
)

__all__ = [
    'CheckpointError',
    'atomic_save',
    'checkpoints_are_trusted',
    'classes_of',
    'clear_temporary',
    'load_checkpoint',
    'load_file',
    'load_partly',
    'load_strictly',
    'loading_policy',
    'names_of',
    'replacing',
    'require_finite',
    'state_dict_of',
    'trust_checkpoints',
]
