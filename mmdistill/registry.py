"""Every registry of mmdistill: a child of MMPretrain's of the same name.

`EXPORT_FORMATS` is the one that MMPretrain has no counterpart of.

With ``default_scope = 'mmdistill'`` a config names the parts of mmdistill,
MMPretrain and MMEngine alike without a prefix; a name is looked up here first
and then in the parents.
"""

from collections.abc import Callable
from typing import Any

from mmengine.registry import Registry
from mmpretrain import registry as mmpretrain

__all__ = [
    'RUNNERS',
    'RUNNER_CONSTRUCTORS',
    'LOOPS',
    'HOOKS',
    'LOG_PROCESSORS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'PARAM_SCHEDULERS',
    'DATASETS',
    'DATA_SAMPLERS',
    'TRANSFORMS',
    'MODELS',
    'MODEL_WRAPPERS',
    'WEIGHT_INITIALIZERS',
    'BATCH_AUGMENTS',
    'TASK_UTILS',
    'METRICS',
    'EVALUATORS',
    'VISUALIZERS',
    'VISBACKENDS',
    'EXPORT_FORMATS',
]


class ModelRegistry(Registry):
    """A registry whose entries may also be found by a rule.

    So ``dict(type='timm/resnet18', ...)`` is built wherever a model is.
    """

    _rule: Callable[[str], Any] | None = None

    def resolve_by(self, rule: Callable[[str], Any]) -> None:
        """Ask a rule for types that are not registered.

        Args:
            rule: takes a type; returns what builds it, or None.
        """
        self._rule = rule

    def get(self, key: str) -> Any:
        """What builds a type; None if there is nothing. See MMEngine's."""
        self.import_from_location()
        found = self._rule(key) if self._rule and '/' in key else None
        return super().get(key) if found is None else found


def _child(name: str, module: str, kind: type = Registry) -> Any:
    """The child of MMPretrain's registry ``name``, filled on first use."""
    parent = getattr(mmpretrain, name)
    return kind(
        parent.name,
        parent=parent,
        scope='mmdistill',
        locations=[f'mmdistill.{module}'],
    )


RUNNERS = _child('RUNNERS', 'engine.runner')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', 'engine.hooks')
LOOPS = _child('LOOPS', 'engine.loops')
HOOKS = _child('HOOKS', 'engine.hooks')
LOG_PROCESSORS = _child('LOG_PROCESSORS', 'engine.hooks')
OPTIMIZERS = _child('OPTIMIZERS', 'engine.hooks')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'engine.optim_wrapper')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'OPTIM_WRAPPER_CONSTRUCTORS', 'engine.hooks'
)
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', 'engine.hooks')

DATASETS = _child('DATASETS', 'datasets')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'datasets')
TRANSFORMS = _child('TRANSFORMS', 'datasets')

MODELS = _child('MODELS', 'models.registered', ModelRegistry)
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'models.registered')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', 'models.registered')
BATCH_AUGMENTS = _child('BATCH_AUGMENTS', 'models.registered')
TASK_UTILS = _child('TASK_UTILS', 'models.registered')

METRICS = _child('METRICS', 'evaluation')
EVALUATORS = _child('EVALUATORS', 'evaluation')
VISUALIZERS = _child('VISUALIZERS', 'evaluation')
VISBACKENDS = _child('VISBACKENDS', 'evaluation')

EXPORT_FORMATS = Registry(
    'export format', scope='mmdistill', locations=['mmdistill.export']
)
