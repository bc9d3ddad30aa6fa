"""Images per second of the per-image and the batched CIFAR path, in one run.

Both are built from configs/_base_/datasets, go through dataloader and data
preprocessor as in training, and end with the labels and indices that a
distiller reads off the batch. The per-image path is MMPretrain's as it is. The
batched one carries the indices and seeds that ResumeStateHook adds, and leaves
its workers unused (see ``index_samples``). Images are random, in CIFAR's
layout, unless --data-root names the folder of the real ones.
"""

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / 'configs/_base_/datasets'
PATHS = {'per image': '', 'batched': '_batched'}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data-root', help='folder with the real images')
    parser.add_argument('--images', type=int, default=20000)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 2])
    parser.add_argument('--seconds', type=float, default=2)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, help="default: torch's")
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def register_images():
    """A dataset of random images, with CIFAR's way to hold them."""
    import numpy as np
    from mmpretrain.datasets import BaseDataset

    from mmdistill.registry import DATASETS

    @DATASETS.register_module()
    class RandomCIFAR(BaseDataset):
        def __init__(self, images, classes, **kwargs):
            self.shape, self.number = (images, 3, 32, 32), classes
            super().__init__(ann_file='', **kwargs)

        def load_data_list(self):
            draw = np.random.default_rng(0)
            images = draw.integers(0, 256, self.shape, np.uint8)
            images = images.transpose(0, 2, 3, 1)
            return [
                dict(img=image, gt_label=i % self.number)
                for i, image in enumerate(images)
            ]


def make_path(args, name: str, workers: int):
    """The dataloader and the preprocessor of one path."""
    from mmengine.config import Config

    from mmdistill.datasets.sample_stream import index_samples
    from mmdistill.engine.runner import DistillRunner
    from mmdistill.registry import MODELS

    cfg = Config.fromfile(CONFIGS / f'cifar100{PATHS[name]}.py')
    loader = cfg.train_dataloader
    inner = loader.dataset.get('dataset', loader.dataset)
    if args.data_root:
        inner.data_root = args.data_root
    else:
        pipeline = inner.get('pipeline', [])
        inner.clear()
        inner.update(
            type='RandomCIFAR',
            images=args.images,
            classes=cfg.data_preprocessor.num_classes,
            pipeline=pipeline,
        )
    loader.update(
        batch_size=args.batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=args.device != 'cpu',
    )
    # what tools/train.py does, ours as MMPretrain's
    loader.setdefault('collate_fn', dict(type='default_collate'))
    loader = DistillRunner.build_dataloader(loader, seed=0)
    if name == 'batched':
        index_samples(loader, seed=0)
    cfg.data_preprocessor.setdefault('type', 'ClsDataPreprocessor')
    return loader, MODELS.build(cfg.data_preprocessor).to(args.device)


def endless(loader):
    while True:
        yield from loader


def rate(args, batches, preprocessor) -> float:
    """Images per second over about ``args.seconds``."""
    import torch

    from mmdistill.models.distillers.base_distiller import BaseDistiller

    # Only labels and indices are wanted of it; any student will do.
    distiller = BaseDistiller(torch.nn.Identity())

    def step():
        data = preprocessor(next(batches), True)
        distiller.batch_fields(data['data_samples'], data['inputs'].device)
        if args.device != 'cpu':
            torch.cuda.synchronize()
        return len(data['inputs'])

    for _ in islice(batches, 8):  # what workers fetched ahead
        pass
    step()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < args.seconds:
        count += step()
    return count / (time.perf_counter() - start)


def main():
    args = parse_args()
    import torch

    from mmdistill.utils import register_all_modules

    if args.threads:
        torch.set_num_threads(args.threads)
    register_all_modules()
    register_images()
    columns = ''.join(f'{name:>12}' for name in PATHS)
    print(f'{"workers":<8}{columns}{"ratio":>8}   images per second')
    for workers in args.workers:
        paths = {}
        for name in PATHS:
            loader, preprocessor = make_path(args, name, workers)
            paths[name] = endless(loader), preprocessor
        rates = {name: [] for name in PATHS}
        for _ in range(args.repeats):  # in turns, so that noise hits both
            for name, path in paths.items():
                rates[name].append(rate(args, *path))
        median = {name: statistics.median(r) for name, r in rates.items()}
        numbers = ''.join(f'{median[name]:>12.0f}' for name in PATHS)
        ratio = median['batched'] / median['per image']
        print(f'{workers:<8}{numbers}{ratio:>8.1f}', flush=True)


if __name__ == '__main__':
    main()
