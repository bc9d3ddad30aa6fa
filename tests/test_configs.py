"""Every config loads, what it names is there, and a cover of them trains.

`config_cover` chooses the leaves that take a step: with those that run as
they stand, they reach every line of every base and of every leaf.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from config_cover import CONFIGS, LEAVES, cover, union
from config_parts import mistakes
from helpers import load_config
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.visualization import Visualizer
from mmpretrain.datasets import BaseDataset

from mmdistill.datasets import make_digits_canvas
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.losses import Phase
from mmdistill.registry import DATASETS, METRICS, MODELS, PARAM_SCHEDULERS


def in_full(leaf: str) -> bool:
    """Whether a leaf is run with everything around it, one pair a method."""
    return 'digits' in leaf or 'resnet32x4_resnet8x4' in leaf


def is_transfer(leaf: str) -> bool:
    """Whether a leaf is a full-size detector or segmentor."""
    return leaf.startswith('transfer/') or leaf == 'own_data/detector.py'


def is_for_testing(leaf: str) -> bool:
    """Whether nothing is trained."""
    return leaf.startswith('evaluation/knn_')


RUN = [leaf for leaf in LEAVES if in_full(leaf)]
COVER = cover(LEAVES, RUN)
STEPPED = [
    leaf
    for leaf in COVER
    if not is_transfer(leaf) and not is_for_testing(leaf)
]
#: Others that build in a tenth of a second: no network of ImageNet's size.
BUILT = [
    leaf
    for leaf in LEAVES
    if leaf not in RUN + COVER
    and not leaf.endswith('in1k.py')
    and not is_transfer(leaf)
]


def load(leaf: str) -> Config:
    return load_config(CONFIGS / leaf)


@DATASETS.register_module()
class RandomImages(BaseDataset):
    """Stands in for a dataset that is not on this disk: its size only."""

    def __init__(self, shape, classes, pipeline, indices=None, **_):
        self.shape, self.classes = shape, classes
        super().__init__(ann_file='', pipeline=pipeline, indices=indices)

    def load_data_list(self):
        draw = np.random.RandomState(0)
        return [
            dict(
                img=draw.randint(0, 256, self.shape).astype(np.uint8),
                gt_label=i % self.classes,
            )
            for i in range(24)
        ]


#: Full-size numbers, and what two cores take in their place.
SMALL = {299: 75, 224: 32, 96: 16, 3840: 4, 3000: 16, 65536: 16, 128000: 16}


def shrunk(value):
    """A part of a config with small crops, few prototypes, short queues."""
    if isinstance(value, dict):
        return {key: shrunk(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(shrunk, value))
    return SMALL.get(value, value) if type(value) is int else value


def random_images(cfg: Config, dataset: dict) -> dict:
    """In a dataset's place: random images, through its own pipeline."""
    channels = len(cfg.data_preprocessor.get('mean') or range(3))
    size = 32, 32
    if 'episode' in cfg:  # a flattened map: a classifier knows its size
        size = cfg.model.get('input_size', (channels, *size))[1:]
    return dict(
        type='RandomImages',
        shape=(*size, channels),
        classes=cfg.data_preprocessor.get('num_classes', 10),
        pipeline=shrunk(without_loading(dataset['pipeline'])),
    )


def without_loading(pipeline: list) -> list:
    """Transforms but those that read a file, also inside of others."""
    return [
        dict(t, transforms=without_loading(t['transforms']))
        if isinstance(t.get('transforms'), list)
        and all('type' in inner for inner in t['transforms'])
        else t
        for t in pipeline
        if 'Load' not in t['type']
    ]


@pytest.fixture(scope='session')
def canvas(tmp_path_factory) -> Path:
    """Two images to train with and two to test, of digits on canvases."""
    folder = tmp_path_factory.mktemp('canvas') / 'digits'
    return make_digits_canvas(folder, num_train=2, num_val=2)


def on_canvas(dataset: dict, folder: Path) -> dict:
    """In a dataset's place: the canvases, through its own pipeline."""
    split = 'val' if dataset.get('test_mode') else 'train'
    if dataset['type'] == 'VOCSegmentation':
        place = dict(image_set=split, classes=('background', *'0123456789'))
    else:
        place = dict(
            data_prefix=dict(img='JPEGImages'),
            ann_file=f'annotations/instances_{split}.json',
            with_masks=dataset.get('with_masks', False),
        )
    return dict(
        type=dataset['type'].replace('VOCDetection', 'CocoDetection'),
        data_root=str(folder),
        test_mode=split == 'val',
        pipeline=dataset['pipeline'],
        **place,
    )


def metric_on_canvas(evaluator: dict, folder: Path) -> dict:
    """A metric, told where the annotations are if it asks."""
    if evaluator['type'] != 'CocoMetric':
        return evaluator
    path = folder / 'annotations' / 'instances_val.json'
    return dict(evaluator, ann_file=str(path))


def small(cfg: Config, work_dir, canvas: Path) -> Config:
    """The override: few images, one step, no files but in work_dir."""
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.num_workers = 0
        loader.batch_size = 8
        if 'data_preprocessor' not in cfg:  # a detector, or a segmentor
            loader.batch_size = 2
            loader.dataset = on_canvas(loader.dataset, canvas)
            cfg.model.backbone.pop('init_cfg', None)
        elif loader.dataset.type == 'Digits':
            loader.dataset.indices = 24
        else:
            loader.dataset = random_images(cfg, loader.dataset)
    if 'data_preprocessor' not in cfg:
        for name in ('val_evaluator', 'test_evaluator'):
            cfg[name] = metric_on_canvas(cfg[name], canvas)
    if 'teacher_ckpt' in cfg.model:
        cfg.model.teacher_ckpt = None
    if 'queue_size' in cfg.model:
        cfg.model.queue_size = 16
    for loss in cfg.model.get('losses', {}).values():
        if loss.get('queue_size'):
            loss.queue_size = 16
            # A loss against an empty queue teaches nothing.
            cfg.default_hooks.setdefault('queue', dict(type='QueueHook'))
    for hook in filter(None, cfg.default_hooks.values()):
        if hook['type'] == 'QueueHook':
            hook.update(start_epoch=0, prefill=16)
        if hook['type'] == 'KNNHook':
            hook.update(by_epoch=False)
    if cfg.train_cfg.get('type') == 'TwoPhaseTrainLoop':
        loader = cfg.train_dataloader
        loader.batch_size = 24  # one step a stage
        cfg.train_cfg.update(max_epochs=1, warmup_epochs=1)
    else:
        cfg.train_cfg = dict(by_epoch=False, max_iters=1, val_interval=1)
        cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    cfg.work_dir = str(work_dir)
    cfg.log_level = 'WARNING'
    return cfg


def test_there_are_leaves():
    folders = {Path(leaf).parts[0] for leaf in LEAVES}
    methods = (
        'kd fitnet at sp cc vid rkd pkt ab ft fsp nst crd wcord cocord '
        'protocpc infonce vanilla quickstart privileged protocpc_ssl seed '
        'compress label_free dino protocpc_self swav oss ssl_alone evaluation '
        'mcl_okd dml cl_ilr one okddip online_digits few_shot transfer '
        'transfer_digits own_data'
    )
    assert set(methods.split()) <= folders


def test_cover_reaches_every_base_and_every_body():
    assert union(RUN + COVER) == union(LEAVES)
    for leaf in COVER:
        others = [other for other in COVER if other != leaf]
        assert union(RUN + others) != union(LEAVES)


@pytest.fixture
def visualizer():
    """The one that a runner makes and hooks ask for when they are built."""
    return Visualizer.get_instance('configs')


@pytest.mark.usefixtures('visualizer')
@pytest.mark.parametrize('leaf', LEAVES)
def test_loads(leaf):
    """The doctor finds nothing, and transforms and hooks are built."""
    assert not mistakes(load(leaf).to_dict())


@pytest.mark.usefixtures('visualizer')
@pytest.mark.parametrize(
    'key, value',
    [
        ('model.losses.kd', dict(temprature=1.0)),
        ('model', dict(student_ckpt='x.pth')),
        ('model.teacher.backbone', dict(type='ResNat')),
        ('train_dataloader.dataset', dict(spilt='train')),
        ('train_dataloader.dataset.pipeline.0', dict(crop_sise=4)),
        ('default_hooks.logger', dict(intervall=1)),
        ('optim_wrapper.optimizer', dict(learning_rate=0.1)),
        ('param_scheduler', dict(milestone=[3])),
    ],
)
def test_a_mistake_is_found(key, value):
    cfg = load('kd/kd_resnet32x4_resnet8x4_cifar100.py').to_dict()
    part = cfg
    for name in key.split('.'):
        part = part[int(name) if name.isdigit() else name]
    part.update(value)
    assert list(mistakes(cfg)) == [f'{key}.{next(iter(value))}']


@pytest.mark.parametrize('leaf', RUN)
def test_runs(leaf, tmp_path, canvas):
    cfg = small(load(leaf), tmp_path, canvas)
    runner = DistillRunner.from_cfg(cfg)
    before = {
        name: p.detach().clone()
        for name, p in runner.model.named_parameters()
        if p.requires_grad
    }
    runner.train()
    assert all(p.isfinite().all() for p in runner.model.state_dict().values())
    moved = [
        name
        for name, p in runner.model.named_parameters()
        if name in before and not torch.equal(p, before[name])
    ]
    assert len(moved) > 0.8 * len(before)
    assert (tmp_path / 'student.pth').is_file()


def batch(cfg: Config) -> dict:
    """Four images, or a two-way episode, as the dataloader would give it."""
    images = DATASETS.build(random_images(cfg, cfg.train_dataloader.dataset))
    rows = [0, 1, 2, 3]
    if 'episode' in cfg:
        shot, query = cfg.episode.shot, cfg.episode.query
        rows = [0] * shot + [1] * shot + [0] * query + [1] * query
    return default_collate([images[i] for i in rows])


def built(cfg: Config):
    """The model of a leaf with its preprocessor, small, without a file."""
    model = shrunk(cfg.model.to_dict())
    for key in {'teacher_ckpt', 'checkpoint'} & set(model):
        model[key] = None
    if '/' in (model.get('teacher') or {}).get('type', ''):
        model['teacher']['pretrained'] = False  # no network here
    model['data_preprocessor'] = cfg.data_preprocessor
    return MODELS.build(model)


@pytest.mark.parametrize('leaf', BUILT)
def test_builds(leaf):
    model = built(load(leaf))
    assert any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize('leaf', STEPPED)
def test_takes_a_step(leaf):
    cfg = load(leaf)
    model = built(cfg).train()
    if isinstance(model, BaseDistiller):
        model.set_training_set(24, torch.arange(24))
    two_phases = cfg.train_cfg.get('type') == 'TwoPhaseTrainLoop'
    got = set()
    for phase in Phase if two_phases else [Phase.MAIN]:
        if two_phases:
            model.set_phase(phase)
        data = model.data_preprocessor(batch(cfg), True)
        total, log = model.parse_losses(model(**data, mode='loss'))
        total.backward()
        got |= {n for n, p in model.named_parameters() if p.grad is not None}
        assert all(value.isfinite() for value in log.values())
    learning = {n for n, p in model.named_parameters() if p.requires_grad}
    if cfg.get('find_unused_parameters') and not two_phases:
        # No loss looks at the class scores, and the config says so.
        assert not model.task_weight
        learning -= {n for n in learning if n.startswith('student.head')}
    assert got == learning


@pytest.mark.parametrize('leaf', [*filter(is_for_testing, COVER)])
def test_gives_features(leaf):
    cfg = load(leaf)
    assert cfg.train_dataloader is None
    cfg.train_dataloader = cfg.test_dataloader
    model = built(cfg).eval()
    data = model.data_preprocessor(batch(cfg), False)
    with torch.no_grad():
        feature = model(**data, mode='tensor').feature
    assert feature.ndim == 2
    assert len(feature) == 4
    assert feature.isfinite().all()


@pytest.mark.parametrize('leaf', [*filter(is_transfer, COVER)])
def test_transfers(leaf, canvas):
    """A step, and a test by the leaf's metric, on canvases in its pipeline."""
    cfg = load(leaf).to_dict()
    assert cfg['model']['backbone'].pop('init_cfg')['type'] == 'Pretrained'
    if cfg['model']['type'] != 'FCN':
        cfg['model'].update(
            min_size=(64, 80),
            max_size=128,
            rpn=dict.fromkeys(cfg['model'].get('rpn', ()), 50),
            roi=dict(box_batch_size_per_image=16),
        )
    model = MODELS.build(cfg['model']).train()

    def batch_of(name):
        loader = cfg[f'{name}_dataloader']
        dataset = DATASETS.build(on_canvas(loader['dataset'], canvas))
        assert loader['collate_fn'] == dict(type='pseudo_collate')
        return pseudo_collate(list(dataset)), dataset.metainfo

    data = model.data_preprocessor(batch_of('train')[0], True)
    total, log = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    assert all(value.isfinite() for value in log.values())
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name

    data, metainfo = batch_of('val')
    with torch.no_grad():
        found = model.eval()(**model.data_preprocessor(data), mode='predict')
    metric = METRICS.build(metric_on_canvas(cfg['val_evaluator'], canvas))
    metric.dataset_meta = metainfo
    metric.process(data, [sample.to_dict() for sample in found])
    export = cfg['default_hooks']['export_student']
    assert export['metric'] in metric.evaluate(len(found))


def test_mmdet_config_names_an_export():
    """Its ResNet is one that the export's file fits."""
    (path,) = (CONFIGS / 'transfer' / 'mmdet').glob('*.py')
    backbone = Config.fromfile(path).model.backbone.to_dict()
    assert backbone.pop('init_cfg')['type'] == 'Pretrained'
    ours = MODELS.build(backbone).state_dict()
    student = MODELS.build(dict(type='ResNet', depth=50)).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {
        k: v.shape for k, v in student.items()
    }


FULL_SIZE = (
    'dino/dino_deit_small_100e_in1k.py',
    'evaluation/finetune_1pct_resnet18_in1k.py',
    'oss/oss_resnet50_resnet18_800e_in1k.py',
    'ssl_alone/byol_resnet18_800e_in1k.py',
)


@pytest.mark.parametrize('leaf', FULL_SIZE)
def test_full_size_runs(leaf, tmp_path):
    """One epoch of four images, with the leaf's hooks and schedules."""
    cfg = load(leaf)
    cfg.model = shrunk(cfg.model.to_dict())
    for key in {'teacher_ckpt', 'checkpoint'} & set(cfg.model):
        cfg.model[key] = None
    loaders = [cfg[f'{name}_dataloader'] for name in ('train', 'val', 'test')]
    if 'bank_dataloader' in cfg:
        cfg.val_cfg.k = (20,)
        loaders.append(cfg.val_cfg.bank_dataloader)
    for loader in loaders:
        loader.update(batch_size=4, num_workers=0)
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.dataset = random_images(cfg, loader.dataset)
    cfg.train_dataloader.dataset.indices = 4
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.default_hooks.checkpoint = None  # large, and tested elsewhere
    cfg.work_dir = str(tmp_path)
    cfg.log_level = 'WARNING'
    DistillRunner.from_cfg(cfg).train()
    assert (tmp_path / 'student_best.pth').is_file()


def test_dino_raises_the_weight_decay():
    """From 0.04 to 0.4 along a cosine; what has none keeps none."""
    cfg = Config.fromfile(CONFIGS / 'dino/dino_deit_small_100e_in1k.py')
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.04
    groups = [
        dict(params=[torch.nn.Parameter(torch.ones(1))], weight_decay=decay)
        for decay in (0.04, 0.0)
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.001)
    schedule = dict(cfg.param_scheduler[-1], optimizer=optimizer)
    del schedule['convert_to_iter_based']
    schedule = PARAM_SCHEDULERS.build(schedule)
    decays = []
    for _ in range(cfg.train_cfg.max_epochs):
        optimizer.step()
        schedule.step()
        decays.append([g['weight_decay'] for g in optimizer.param_groups])
    assert decays[49] == pytest.approx([0.22, 0.0])
    assert decays[-1] == pytest.approx([0.4, 0.0])


@pytest.mark.parametrize('iters', [2, 7])
def test_dino_warms_up_from_0(iters):
    """DINO's cosine_scheduler: linspace(0, base, W), then a cosine."""
    cfg = Config.fromfile(CONFIGS / 'dino/dino_resnet50_100e_in1k.py')
    base = cfg.optim_wrapper.optimizer.lr
    rates = rates_of(cfg, iters)
    progress = np.arange(90 * iters) / (90 * iters)
    cosine = 1e-6 + (base - 1e-6) * (1 + np.cos(np.pi * progress)) / 2
    expected = [*np.linspace(0, base, 10 * iters), *cosine]
    np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-11)


def rates_of(cfg, iters):
    """The learning rate of every step of 100 epochs of so many steps."""
    base = cfg.optim_wrapper.optimizer.lr
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=base)
    schedules = [
        PARAM_SCHEDULERS.get(item.pop('type')).build_iter_from_epoch(
            optimizer, epoch_length=iters, **item
        )
        for item in cfg.to_dict()['param_scheduler']
        if item.pop('convert_to_iter_based')
    ]
    rates = []
    for _ in range(100 * iters):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    return rates


@pytest.mark.parametrize('iters', [2, 7])
def test_swav_at_4096_has_the_rates_of_its_code(iters):
    """Its main: linspace(0.3, 4.8, W), then a cosine to 0.0048."""
    cfg = Config.fromfile(CONFIGS / 'swav/swav_bs4096_resnet18_100e_in1k.py')
    assert cfg.train_dataloader.batch_size == 4096
    assert not cfg.model.queue_size
    assert cfg.default_hooks.freeze_prototypes.iters == 313
    assert cfg.default_hooks.queue is None
    progress = np.arange(90 * iters) / (90 * iters)
    cosine = 0.0048 + (4.8 - 0.0048) * (1 + np.cos(np.pi * progress)) / 2
    expected = [*np.linspace(0.3, 4.8, 10 * iters), *cosine]
    np.testing.assert_allclose(rates_of(cfg, iters), expected, rtol=1e-9)


IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    'path',
    sorted((CONFIGS / '_base_' / 'datasets').glob('*.py')),
    ids=lambda path: path.stem,
)
def test_statistics_of_imagenet_are_not_rounded(path):
    found = Config.fromfile(path).get('data_preprocessor', {})
    for name, exact in IMAGENET.items():
        value = list(found.get(name, ()))
        if value == pytest.approx(exact, abs=0.6):
            assert value == exact


@pytest.mark.parametrize(
    'leaf',
    ['kd/kd_wrn_40_2_wrn_16_2_cifar100.py',
     'protocpc_ssl/protocpc_dino_deit_small_resnet18_in1k.py'],
)  # fmt: skip
def test_a_config_that_imports_is_plain(leaf):
    """Its text is all of it: what is imported stays out."""
    cfg = Config.fromfile(CONFIGS / leaf)
    cfg.merge_from_dict({'model.student.backbone.depth': 50})
    again = Config.fromstring(cfg.pretty_text, '.py')
    assert 'import' not in cfg.pretty_text
    assert again.to_dict() == cfg.to_dict()
    assert again.model.student.backbone.depth == 50
    assert again.model.teacher.backbone.to_dict() == again.teacher.backbone


def test_omniglot_trains_on_all_1200_characters():
    """By the options that the README gives."""
    text = (CONFIGS / 'few_shot' / 'README.md').read_text()
    (command,) = re.findall(r'(tools/train.py .*?)```', text, re.DOTALL)[:1]
    leaf, _, options = command.replace('\\\n', '').partition(' --cfg-options ')
    cfg = Config.fromfile(CONFIGS.parent / leaf.split()[1])
    pairs = (option.split('=') for option in options.split())
    cfg.merge_from_dict(
        {key: int(x) if x.isdigit() else x for key, x in pairs}
    )
    data = cfg.train_dataloader.dataset.dataset
    assert data.class_list.endswith('trainval.txt')
    assert len(data.rotations) * 1200 == cfg.data_preprocessor.num_classes
    assert MODELS.build(cfg.model).student.head.fc.out_features == 4800


def test_online_methods_on_imagenet_have_the_authors_schedule():
    leaves = [
        leaf
        for leaf in LEAVES
        if leaf.endswith('resnet34_in1k.py')
        and load(leaf).model.type == 'OnlineDistiller'
    ]
    assert len(leaves) == 9
    for leaf in leaves:
        cfg = load(leaf)
        assert cfg.optim_wrapper.optimizer.to_dict() == dict(
            type='SGD', lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4
        )
        assert cfg.param_scheduler.type == 'CosineAnnealingLR'
        assert cfg.param_scheduler.T_max == cfg.train_cfg.max_epochs == 100
        assert cfg.train_dataloader.batch_size == 128
        if 'mcl' in cfg.model.losses:
            assert cfg.model.losses.mcl.temperature == 0.07


@pytest.mark.parametrize('folder', sorted({Path(p).parts[0] for p in LEAVES}))
def test_every_method_has_a_readme(folder):
    text = (CONFIGS / folder / 'README.md').read_text()
    for leaf in (CONFIGS / folder).glob('*.py'):
        assert leaf.name in text
