"""What can be said of a config without building it: are its parts there?"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator

from mmengine.registry import FUNCTIONS, Registry

from mmdistill import registry

#: The keys below which a `type` is looked up in another registry.
REGISTRIES = dict(
    model=registry.MODELS,
    data_preprocessor=registry.MODELS,
    init_cfg=registry.WEIGHT_INITIALIZERS,
    batch_augments=registry.BATCH_AUGMENTS,
    augments=registry.BATCH_AUGMENTS,
    train_dataloader=registry.DATASETS,
    val_dataloader=registry.DATASETS,
    test_dataloader=registry.DATASETS,
    bank_dataloader=registry.DATASETS,
    dataset=registry.DATASETS,
    pipeline=registry.TRANSFORMS,
    sampler=registry.DATA_SAMPLERS,
    batch_sampler=registry.DATA_SAMPLERS,
    collate_fn=FUNCTIONS,
    default_hooks=registry.HOOKS,
    custom_hooks=registry.HOOKS,
    train_cfg=registry.LOOPS,
    val_cfg=registry.LOOPS,
    test_cfg=registry.LOOPS,
    val_evaluator=registry.METRICS,
    test_evaluator=registry.METRICS,
    optim_wrapper=registry.OPTIM_WRAPPERS,
    optimizer=registry.OPTIMIZERS,
    param_scheduler=registry.PARAM_SCHEDULERS,
    visualizer=registry.VISUALIZERS,
    vis_backends=registry.VISBACKENDS,
)


def parts(
    value: object, of: Registry | None = None, key: str = ''
) -> Iterator[tuple[str, Registry, dict]]:
    """Every dictionary with a `type`, its key, and where it is registered."""
    if isinstance(value, dict):
        if of is not None and isinstance(value.get('type'), str):
            yield key, of, value
        for name, item in value.items():
            below = f'{key}.{name}' if key else name
            yield from parts(item, REGISTRIES.get(name, of), below)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from parts(item, of, f'{key}.{number}')


def accepted(part: type) -> set[str] | None:
    """The arguments that a class takes, None where any name would do."""
    names: set[str] = set()
    for cls in inspect.getmro(part) if inspect.isclass(part) else [part]:
        if cls is object:
            return None
        if inspect.isclass(cls) and '__init__' not in vars(cls):
            continue
        parameters = inspect.signature(cls).parameters.values()
        names |= {p.name for p in parameters if p.kind != p.VAR_KEYWORD}
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            return names
    return None


def mistakes(cfg: dict) -> list[str]:
    """Parts that are not registered, and arguments that a part lacks."""
    found = []
    for key, of, part in parts(cfg):
        cls = of.get(part['type'])
        if cls is None:
            found.append(f'{key}: no {of.name} is called {part["type"]}')
            continue
        known = accepted(cls)
        for name in part.keys() - {'type', '_scope_'}:
            if known is not None and name not in known:
                near = difflib.get_close_matches(name, known)
                found.append(f'{key}: {part["type"]} has no {name}, {near}')
    return found
