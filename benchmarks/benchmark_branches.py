"""Time of a step of M branches, over what it cannot do without.

The floor is one whole network, forward and backward with its task loss, and
M - 1 times the part of it behind the cut, from a map that is there already.
The step is that of ``OnlineDistiller`` on the same images, without losses
among the peers unless ``--losses`` asks for the config's. Data loading and
the optimizer are in neither.
"""

import argparse
import statistics
from pathlib import Path

from _measuring import in_turns

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'configs',
        nargs='*',
        default=[
            f'mcl_okd/mcl_okd_branch_{network}_cifar100.py'
            for network in ('resnet32', 'vgg16', 'densenet_40_12')
        ],
        help='branch configs, relative to configs/',
    )
    parser.add_argument('--losses', action='store_true')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--samples', type=int, default=50000)
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def make_parts(name, args):
    """The step, the whole network and one branch, as functions."""
    import torch
    from mmengine.config import Config
    from mmpretrain.structures import DataSample

    from mmdistill.models import Representation, RepresentationReader
    from mmdistill.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS / name)
    if not args.losses:
        cfg.model.losses = {}
    model = MODELS.build(cfg.model).to(args.device).train()
    model.set_training_set(args.samples, torch.arange(args.samples) % 100)
    images = torch.randn(
        args.batch_size, *cfg.model.input_size, device=args.device
    )
    samples = []
    for i in range(args.batch_size):
        sample = DataSample().set_gt_label(i % 100).to(args.device)
        sample.set_metainfo(dict(sample_idx=i))
        samples.append(sample)
    fields = model.batch_fields(samples, images.device)
    read = RepresentationReader(model.peers[0])
    with model.group._stages.run(model.student.backbone) as made:
        model.student(images)
        shared = made.map.detach()

    def step():
        sum(model.loss(images, samples).values()).backward()

    def network():
        seen = Representation(logits=model.student(images))
        model.task_loss(seen, samples, fields).backward()

    def branch():
        with model.group._stages.run(model.student.backbone) as made:
            made.map = shared.requires_grad_()
            seen = read(model.group._stages.stub(images))
        model.task_loss(seen, samples, fields).backward()

    return len(model.peers), dict(step=step, network=network, branch=branch)


def measure(name, args):
    """Medians in milliseconds; parts take turns, so that noise is shared."""
    others, parts = make_parts(name, args)
    times = {
        part: [1000 * s for s in seconds]
        for part, seconds in in_turns(
            parts, args.repeats, args.device, warm_up=2
        ).items()
    }
    floors = [
        network + others * branch
        for network, branch in zip(
            times['network'], times['branch'], strict=True
        )
    ]
    ratios = [s / f for s, f in zip(times['step'], floors, strict=True)]
    return {
        **{part: statistics.median(t) for part, t in times.items()},
        'floor': statistics.median(floors),
        'ratio': statistics.median(ratios),
    }


def main():
    args = parse_args()
    import torch

    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.set_num_threads(args.threads)
    columns = 'network branch floor step'.split()
    print(f'{"ms":<46}' + ''.join(f'{c:>9}' for c in columns) + '  ratio')
    for name in args.configs:
        row = measure(name, args)
        numbers = ''.join(f'{row[c]:>9.1f}' for c in columns)
        print(f'{name:<46}{numbers}{row["ratio"]:>7.2f}', flush=True)


if __name__ == '__main__':
    main()
