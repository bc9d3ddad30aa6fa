"""Short k-NN runs on digits."""

import json

from helpers import digits_config

from mmdistill.datasets.sample_stream import index_samples
from mmdistill.engine.runner import DistillRunner

PACK = [dict(type='PackInputs')]


def loader(indices, **kwargs):
    cfg = dict(
        batch_size=7,
        num_workers=0,
        dataset=dict(type='Digits', indices=indices, pipeline=PACK),
        sampler=dict(type='DefaultSampler', shuffle=True, seed=3),
        **kwargs,
    )
    found = DistillRunner.build_dataloader(cfg)
    index_samples(found)
    return found


def bank(size=400, **kwargs):
    return dict(
        batch_size=100,
        num_workers=0,
        dataset=dict(type='Digits', indices=size, pipeline=PACK, **kwargs),
    )


def knn_config(work_dir, stage='val', **loop):
    loop = dict(bank_dataloader=bank(), k=(10, 20)) | loop
    kind = dict(val='KNNValLoop', test='KNNTestLoop')[stage]
    cfg = digits_config(work_dir)
    cfg[f'{stage}_cfg'] = dict(type=kind, **loop)
    cfg[f'{stage}_evaluator'] = []
    return cfg


def logged(work_dir):
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]
