"""What can be said of a config without training: its parts fit their keys."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from mmengine.registry import FUNCTIONS, Registry

from mmdistill import registry
from mmdistill.models.losses import DistillLoss

#: The keys below which a `type` is looked up in another registry.
REGISTRIES = dict(
    model=registry.MODELS,
    data_preprocessor=registry.MODELS,
    init_cfg=registry.WEIGHT_INITIALIZERS,
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
    clip_grad=None,  # its type is a number or a norm
    param_scheduler=registry.PARAM_SCHEDULERS,
    visualizer=registry.VISUALIZERS,
    vis_backends=registry.VISBACKENDS,
)
#: Those whose parts need nothing else to be built, and are quick to build.
BUILT = registry.TRANSFORMS, registry.HOOKS


def parts(
    value: object, key: str = '', of: Registry | None = None
) -> Iterator[tuple[str, Registry, dict]]:
    """Every dictionary with a type: its key, its registry and itself.

    What is inside of a part that is built is seen to by the part.
    """
    if isinstance(value, dict):
        if of is not None and isinstance(value.get('type'), str):
            yield key, of, value
            if of in BUILT:
                return
        for name, item in value.items():
            below = f'{key}.{name}' if key else name
            # The keys of hooks are names, and one is `param_scheduler`.
            within = of if of in BUILT else REGISTRIES.get(name, of)
            yield from parts(item, below, within)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from parts(item, f'{key}.{number}', of)


def accepted(part: type) -> set[str] | None:
    """The arguments of a part and, behind **kwargs, of its bases; None: any.

    >>> accepted(dict) is None
    True
    """
    names: set[str] = set()
    for cls in part.__mro__ if inspect.isclass(part) else [part]:
        if inspect.isclass(cls) and '__init__' not in vars(cls):
            continue
        if cls is object:
            break
        parameters = inspect.signature(cls).parameters.values()
        names |= {p.name for p in parameters if p.kind != p.VAR_KEYWORD}
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            return names
    return None


def mistake(of: Registry, part: dict) -> str | None:
    """What is wrong with a part, if anything is."""
    arguments = part.keys() - {'type', '_scope_'}
    if of is registry.PARAM_SCHEDULERS:
        arguments -= {'convert_to_iter_based'}  # the runner's
    if of in BUILT:
        try:
            of.build(part)
        except Exception as error:
            return str(error)
        return None
    cls = of.get(part['type'])
    if cls is None:
        return f'no {of.name} is called {part["type"]}'
    known = accepted(cls)
    if inspect.isclass(cls) and issubclass(cls, DistillLoss):
        arguments -= {'level', 'maps', 'target'}  # the distiller's
    unknown = sorted(arguments - known) if known is not None else []
    return f'{part["type"]} takes no {", ".join(unknown)}' if unknown else None


def mistakes(cfg: dict) -> dict[str, str]:
    """What is wrong with the parts of a config, by their keys."""
    found = {key: mistake(of, part) for key, of, part in parts(cfg)}
    return {key: text for key, text in found.items() if text is not None}
