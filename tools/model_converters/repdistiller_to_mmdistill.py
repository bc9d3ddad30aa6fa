r"""Convert a network's file between RepDistiller's layout and ours.

    python tools/model_converters/repdistiller_to_mmdistill.py SRC DST \
        --arch NAME

SRC is a file of https://github.com/HobbitLong/RepDistiller: a dict with the
weights under 'model'. DST becomes a classifier checkpoint, for
``model.teacher_ckpt``, ``load_from`` and MMPretrain's tools. With
``--reverse`` SRC is such a checkpoint, of a classifier or of a distiller
with that student, and DST becomes a file of RepDistiller's.
"""

import argparse

import torch
from mmengine.config import Config

from mmdistill.checkpoints import (
    atomic_save,
    load_file,
    load_strictly,
    state_dict_of,
    trust_checkpoints,
)
from mmdistill.export import student_checkpoint
from mmdistill.models.backbones.cifar_zoo import (
    REPDISTILLER_ZOO,
    cifar_classifier,
    from_repdistiller,
    repdistiller_linear,
    to_repdistiller,
)
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules
from mmdistill.utils.progress import waiting


def parse_args():
    parser = argparse.ArgumentParser(
        description="Convert a network's file between RepDistiller's layout "
        'and ours'
    )
    parser.add_argument('src', metavar='SRC', help='file to read')
    parser.add_argument('dst', metavar='DST', help='file to write')
    parser.add_argument(
        '--arch',
        required=True,
        metavar='NAME',
        help=f'the network in SRC, one of {", ".join(REPDISTILLER_ZOO)}',
    )
    parser.add_argument(
        '--reverse',
        action='store_true',
        help='from our layout to that of RepDistiller, whose --path_t reads '
        "the network's name off the folder: write to <NAME>_vanilla/",
    )
    parser.add_argument(
        '--num-classes',
        type=int,
        help="number of classes; default: that of SRC's last layer",
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load SRC even if it holds Python objects beyond the safe ones. '
        'Such a file can run any code: only for files of your own',
    )
    return parser.parse_args()


def convert(src, dst, arch, reverse=False, num_classes=None):
    """Read, rename, check by loading into the network, and write."""
    repdistiller_linear(arch)  # an error if there is no such network
    given = state_dict_of(load_file(src), src)
    state = in_our_layout(given, arch, reverse)
    if num_classes is None:
        num_classes = classes_of(state) or 100

    cfg = Config(dict(model=cifar_classifier(arch, num_classes)))
    model = MODELS.build(cfg.model)
    advice = '' if fits(state, model) else what_to_change(given, arch, reverse)
    load_strictly(model, state, src, advice, whole=True)
    if reverse:
        checkpoint = dict(model=to_repdistiller(model.state_dict(), arch))
    else:
        checkpoint = student_checkpoint(model, cfg)
    atomic_save(checkpoint, dst)
    print(f'wrote {dst}: {arch}, {num_classes} classes')


def in_our_layout(given, arch, reverse):
    """The weights of the file under the names of our classifier."""
    if not reverse:
        return from_repdistiller(given, arch)
    student = 'student.'
    if any(key.startswith(student) for key in given):
        return {
            key.removeprefix(student): value
            for key, value in given.items()
            if key.startswith(student)
        }
    return given


def classes_of(state):
    """Rows of the last layer's matrix, or None if there is none."""
    weight = state.get('head.fc.weight')
    return None if weight is None or weight.ndim != 2 else len(weight)


def fits(state, model):
    """Whether names and shapes of weights are those of a model."""

    def shapes(tensors):
        return {
            key: value.shape
            for key, value in tensors.items()
            if not key.endswith('num_batches_tracked')
        }

    return shapes(state) == shapes(model.state_dict())


def what_to_change(given, arch, reverse):
    """Advice for a file that does not hold ``arch``."""
    for way in (reverse, not reverse):
        for name in REPDISTILLER_ZOO:
            state = in_our_layout(given, name, way)
            classes = classes_of(state)
            if classes is None:
                continue
            with torch.device('meta'):  # shapes without memory
                model = MODELS.build(cifar_classifier(name, classes))
            if fits(state, model):
                layout = 'our' if way else "RepDistiller's"
                return (
                    f'The file holds {name} with {classes} classes in '
                    f'{layout} layout: give --arch {name}, '
                    f'--num-classes {classes} or none, and '
                    f'{"" if way else "no "}--reverse.'
                )
    return (
        f'The file holds no network of this zoo as it is: set --arch (now '
        f'{arch}) to what it holds, or convert another file.'
    )


def main():
    args = parse_args()
    register_all_modules()
    trust_checkpoints(args.trust_checkpoints)
    with waiting(f'converting {args.src}'):
        convert(args.src, args.dst, args.arch, args.reverse, args.num_classes)


if __name__ == '__main__':
    main()
