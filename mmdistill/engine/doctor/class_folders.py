"""Classes that a config's datasets have, read without building them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmpretrain.datasets import CustomDataset, ImageNet
from mmpretrain.datasets.base_dataset import BaseDataset

from mmdistill import registry as ours
from mmdistill.checkpoints import names_of
from mmdistill.engine.doctor.finding import Finding
from mmdistill.engine.doctor.named_types import registered
from mmdistill.engine.hooks.class_names_hook import difference
from mmdistill.utils.text import shown

#: A list of samples that is read through at once; a longer one waits until
#: the dataset is built.
_LONGEST = 4_000_000


@dataclass(frozen=True)
class Classes:
    """What is known of a dataset's classes.

    Attributes:
        setting: key of the setting that says so.
        names: in the order of labels; None if only numbers are known.
        number: how many there are, or the largest label plus one.
        by_folder: whether every folder is a class.
    """

    setting: str
    names: tuple[str, ...] | None
    number: int
    by_folder: bool = False


def wrong_classes(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Classes of training, validation and model that do not agree."""
    train = classes_of_dataset(cfg, 'train_dataloader')
    val = classes_of_dataset(cfg, 'val_dataloader')
    yield from _refused_folders(cfg)
    loop = (cfg.get('val_cfg') or {}).get('type', 'ValLoop')
    names = [one.names if one else None for one in (train, val)]
    if loop == 'ValLoop' and None not in names and names[0] != names[1]:
        yield Finding(
            val.setting,
            f'the classes are not those of {train.setting}, so that one '
            f'label means two of them: {difference(*names)} (the first is '
            'the training set). Give both the same class folders, or the '
            'same list as classes=[...]',
        )
    if train is not None:
        yield from _too_few_outputs(cfg.get('model'), train)


def _too_few_outputs(model: Any, train: Classes) -> Iterator[Finding]:
    """The classifier that learns the labels."""
    if not isinstance(model, Mapping):
        return
    key, learner = 'model', model
    if 'student' in model:
        if model.get('task_weight', 1.0) == 0:
            return
        key, learner = 'model.student', model['student']
    if not isinstance(learner, Mapping):
        return
    head = learner.get('head')
    if isinstance(head, Mapping):
        key, learner = f'{key}.head', head
    number = learner.get('num_classes')
    if isinstance(number, int) and 0 < number < train.number:
        labels = f'labels 0 to {train.number - 1}'
        if train.names:
            labels += f' ({shown(train.names)})'
        yield Finding(
            f'{key}.num_classes',
            f'there are {number} class scores, but {train.setting} has '
            f'{labels}; set {key}.num_classes={train.number}, and that of a '
            'teacher whose scores are compared',
        )


def classes_of_dataset(cfg: Mapping[str, Any], loader: str) -> Classes | None:
    """The classes of a dataloader's dataset; None if they are not known.

    Args:
        cfg: the resolved config.
        loader: key of the dataloader.
    """
    key, dataset = _innermost(cfg, loader)
    cls = registered(ours.DATASETS, dataset.get('type'))
    if not inspect.isclass(cls) or not issubclass(cls, BaseDataset):
        return None
    folder = _folder_of_classes(cls, dataset)
    if folder is not None:
        folders = _folders(folder)
        return Classes(f'{key} ({folder})', folders, len(folders), True)
    names = _listed_names(dataset)
    listed = _largest_label(cls, dataset)
    if listed is not None:
        number = max(listed + 1, len(names or ()))
        return Classes(f'{key}.ann_file', names, number)
    if names is None:
        names = names_of(_names_of_class(cls, dataset))
    if names is None:
        return None
    return Classes(key, names, len(names))


def _names_of_class(cls: type, dataset: Mapping[str, Any]) -> Any:
    """What the class itself says; its settings may choose the classes."""
    if hasattr(cls, 'class_names'):
        return cls.class_names(**dataset)
    return getattr(cls, 'METAINFO', {}).get('classes')


def _innermost(
    cfg: Mapping[str, Any], loader: str
) -> tuple[str, Mapping[str, Any]]:
    """The dataset inside of those that repeat or cache it."""
    key = f'{loader}.dataset'
    found = (cfg.get(loader) or {}).get('dataset')
    while isinstance(found, Mapping) and isinstance(
        found.get('dataset'), Mapping
    ):
        key, found = f'{key}.dataset', found['dataset']
    return key, found if isinstance(found, Mapping) else {}


def _folder_of_classes(cls: type, dataset: Mapping[str, Any]) -> str | None:
    """Where the class folders are, if every folder is a class."""
    if (
        not issubclass(cls, CustomDataset)
        or dataset.get('ann_file')
        or dataset.get('list_file')
        or not dataset.get('with_label', True)
    ):
        return None
    root = os.path.expanduser(dataset.get('data_root') or '')
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, Mapping):
        prefix = prefix.get('img_path') or ''
    if issubclass(cls, ImageNet) and dataset.get('split'):
        split = dataset['split']
        prefix = prefix or split
        is_listed = os.path.exists(os.path.join(root, 'meta', f'{split}.txt'))
        if is_listed or split == 'test':
            return None
    folder = os.path.join(root, os.path.expanduser(prefix))
    return folder if os.path.isdir(folder) else None


def _folders(folder: str) -> tuple[str, ...]:
    """Names of the class folders, in the order of their labels."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith('.') and entry.is_dir()
        ]
    return tuple(sorted(names))


def _listed_names(dataset: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Names that the config gives, or a file that it names."""
    names = dataset.get('classes')
    if isinstance(names, str) and os.path.isfile(names):
        with open(names, encoding='utf-8') as file:
            return tuple(line.strip() for line in file if line.strip())
    return names_of(names or (dataset.get('metainfo') or {}).get('classes'))


def _largest_label(cls: type, dataset: Mapping[str, Any]) -> int | None:
    """The largest label of an annotation file with a line a sample."""
    path = dataset.get('ann_file')
    if not path or not issubclass(cls, CustomDataset):
        return None
    root = os.path.expanduser(dataset.get('data_root') or '')
    path = os.path.join(root, path)
    if (
        not dataset.get('with_label', True)
        or not os.path.isfile(path)
        or os.path.getsize(path) > _LONGEST
    ):
        return None
    largest = None
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            label = line.rsplit(None, 1)[-1:]
            if label and label[0].isdigit():
                largest = max(int(label[0]), largest or 0)
    return largest


def _refused_folders(cfg: Mapping[str, Any]) -> Iterator[Finding]:
    """Class folders that are more or fewer than the names of classes."""
    for loader in ('train_dataloader', 'val_dataloader'):
        found = classes_of_dataset(cfg, loader)
        if found is None or not found.by_folder or found.names is None:
            continue
        key, dataset = _innermost(cfg, loader)
        names = _listed_names(dataset)
        if names is not None and len(names) != found.number:
            yield Finding(
                f'{key}.classes',
                f'{len(names)} classes are named ({shown(names)}), but there '
                f'are {found.number} folders ({shown(found.names)}); leave '
                'the names out, or name every folder in sorted order',
            )
