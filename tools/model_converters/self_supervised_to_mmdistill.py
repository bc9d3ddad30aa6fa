"""Convert a published self-supervised network to a file of ours.

    python tools/model_converters/self_supervised_to_mmdistill.py SRC DST

SRC is a file as the authors of MoCo-v2, SwAV or DINO publish it; its layout
is found out. DST becomes a checkpoint of a ``SelfSupervisedEncoder``, for
``model.teacher_ckpt`` and ``load_from``, with head and prototypes as far as
SRC has them. ``meta.layout`` in it says which layout it came from.

The encoders are configs in ``mmdistill.models.encoders.encoder_zoo``:
``mocov2_resnet50()``, ``swav_resnet50()``, ``dino_resnet50()`` and
``dino_deit_small()``. Another backbone takes ``--config``.
"""

import argparse

from mmengine.config import Config

from mmdistill.checkpoints import (
    atomic_save,
    load_file,
    load_strictly,
    trust_checkpoints,
)
from mmdistill.config import from_file
from mmdistill.export import student_checkpoint
from mmdistill.models.encoders import LAYOUTS, encoder_config, from_authors
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules
from mmdistill.utils.progress import waiting

EPILOG = """layouts:
{layouts}

encoders, as configs in mmdistill.models.encoders.encoder_zoo:
  mocov2                mocov2_resnet50()
  swav                  swav_resnet50(num_prototypes=3000)
  dino, dino_backbone   dino_resnet50(num_prototypes=60000), or
                        dino_deit_small(num_prototypes=65536)
Which of head and prototypes there are, how many prototypes, whether those
have lengths (norm_last_layer=False) and whether DINO's head has BatchNorm is
read off SRC; meta.cfg of DST holds the config that came of it.
"""


def parse_args():
    parser = argparse.ArgumentParser(
        description='Convert a published self-supervised network to a file '
        'of ours',
        epilog=EPILOG.format(
            layouts='\n'.join(f'  {k}: {v}' for k, v in LAYOUTS.items())
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('src', metavar='SRC', help='file to read')
    parser.add_argument('dst', metavar='DST', help='file to write')
    parser.add_argument(
        '--config',
        metavar='FILE',
        help='config whose `model` is the SelfSupervisedEncoder in SRC, for '
        'a backbone that is neither ResNet-50 nor DeiT-S/16',
    )
    parser.add_argument(
        '--trust-checkpoints',
        action='store_true',
        help='load SRC even if it holds Python objects beyond the safe ones. '
        'Such a file can run any code: only for files of your own',
    )
    return parser.parse_args()


def convert(src, dst, config=None):
    """Read, rename, check by loading into the encoder, and write."""
    layout, state = from_authors(load_file(src), src)
    if config is None:
        cfg = Config(dict(model=encoder_config(layout, state)))
    else:
        cfg = from_file(config)
    model = MODELS.build(cfg.model)
    load_strictly(
        model,
        state,
        src,
        f'It was read as the layout {layout!r}, into '
        f'{config or "the published encoder"}: give --config with the '
        'encoder that SRC holds, or convert another file.',
        whole=True,
    )
    checkpoint = student_checkpoint(model, cfg)
    checkpoint['meta']['layout'] = layout
    atomic_save(checkpoint, dst)
    parts = [
        name
        for name in ('backbone', 'head', 'prototypes')
        if getattr(model, name) is not None
    ]
    print(f'wrote {dst}: {", ".join(parts)} of the layout {layout!r}')


def main():
    args = parse_args()
    register_all_modules()
    trust_checkpoints(args.trust_checkpoints)
    with waiting(f'converting {args.src}'):
        convert(args.src, args.dst, args.config)


if __name__ == '__main__':
    main()
