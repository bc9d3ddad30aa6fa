"""Files in the layout of the library that a network came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mmdistill.models.matching import MatchingError, match_layers
from mmdistill.models.probing import evaluating
from mmdistill.models.zoo import LIBRARIES
from mmdistill.models.zoo.library import NetworkLibrary

# Names of tensors that do not count: how often a batch norm has run.
_COUNTERS = 'num_batches_tracked'


def in_own_names(
    model: nn.Module, state: Mapping[str, Tensor], path: str
) -> dict[str, Tensor] | None:
    """Weights in a library's layout by the names of a network of MMPretrain.

    Both networks are run, and a layer of the one is that of the other which
    is of its kind and shapes and sees the same (`match_layers`).

    Args:
        model: an ``ImageClassifier``, whose weights stay as they are.
        state: of a file.
        path: of the file; timm's are named after their network.
    Returns:
        None if no network of torchvision, and none of timm that the file's
        name begins with, has these weights.
    Raises:
        MatchingError: if one has, and the model is another.
    """
    for library, name in _candidates(path):
        classes = _classes_in(library, name, state)
        if classes is None:
            continue
        source = library.build(name, classes).eval()
        own = library.translate(dict(state), source)
        source.load_state_dict(own, strict=False)
        size = library.info(name).size
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(2, 3, *size, generator=generator)
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        try:
            with evaluating(model):
                names = match_layers(source, model, images, 'the model')
        except MatchingError as error:
            raise MatchingError(
                f'the file is of {library.name}/{name}; {error}'
            ) from error
        finally:
            model.load_state_dict(kept)
        return {key: own[other] for key, other in names.items()}
    return None


def _candidates(path: str) -> Iterator[tuple[NetworkLibrary, str]]:
    torchvision, timm = LIBRARIES['torchvision'], LIBRARIES['timm']
    for name in torchvision.names():
        yield torchvision, name
    file = os.path.basename(path).replace('-', '_')
    begun = [n for n in timm.names() if file.startswith((f'{n}_', f'{n}.'))]
    for name in sorted(begun, key=len, reverse=True):
        yield timm, name


def _classes_in(
    library: NetworkLibrary, name: str, state: Mapping[str, Tensor]
) -> int | None:
    """How many classes a network has whose weights these are, or None."""
    try:
        with torch.device('meta'):
            own = library.build(name).state_dict()
    except (NotImplementedError, RuntimeError):
        return None  # it cannot be built without memory
    own = {k: v for k, v in own.items() if not k.endswith(_COUNTERS)}
    if not own.keys() <= state.keys():
        return None
    other = [k for k, v in own.items() if state[k].shape != v.shape]
    rows = {len(state[key]) for key in other}
    is_one = len(rows) == 1 and all(
        own[key].shape[1:] == state[key].shape[1:] for key in other
    )
    if other and not is_one:
        return None
    last = list(own)[-1]  # the classifier's
    return rows.pop() if rows else len(own[last])
