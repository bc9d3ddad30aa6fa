"""Whether two states of the code give the same numbers, bit for bit.

    python benchmarks/same_numbers.py record OUT.pt       # with the old code
    python benchmarks/same_numbers.py compare OLD.pt      # with the new code

``record`` takes a few training steps of every method in `CASES` and trains
`RUNS` for two epochs. It keeps the weights that they start from (and the
teacher's), and the losses, gradients and states that follow. ``compare``
builds the same models with the present code, gives them the recorded weights
through ``load_state_dict``, as an old checkpoint would, and goes the same way.
It lists what differs and what has another name now, and exits with 1 if
anything differs. ``-k WORD`` chooses cases whose name has the word in it.

Bits depend on the processor, the torch build and the number of threads, which
is one here: record and compare on one machine. The script takes nothing from
the code but names of configs and a few methods of models, so it runs on
either side of a refactoring; `frozen_teacher`, `enter`, `build` and
`run_config` are the places to adapt. A tensor of another name counts as equal
if its bits are.
"""

import argparse
import copy
import functools
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, set_random_seed
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[1]
CIFAR, DIGITS, OMNIGLOT = (3, 32, 32), (1, 8, 8), (1, 28, 28)
#: A batch, the dataset that it is of, and the classes of its samples.
BATCH, SAMPLES, CLASSES = 8, 48, 4
#: Queues of 12 rows are full in the third step, which reads them.
STEPS, QUEUE, NEGATIVES = 3, 12, 32
#: Differences of a case that are listed.
SHOWN = 12
DIGITS_PIXELS = dict(mean=[73.2], std=[90.24])


@dataclass
class Case:
    """A few training steps of the model in a leaf config.

    Attributes:
        leaf: its file below configs/, without the suffix.
        image: (C, H, W) of a full view.
        views, crops: full views, and further ones of 6 pixels; one view is
            given as a tensor, several as a list.
        labels: number of classes; 0 for samples without labels.
        shot, query: of a few-shot batch with three classes.
        phases: phases of training, one after the other.
        few_labels: whether a third of the samples has no label.
        privileged: whether the teacher sees images of its own.
        options: what replaces parts of the leaf's model, its networks where
            they are large.
    """

    leaf: str
    image: tuple[int, int, int] = CIFAR
    views: int = 1
    crops: int = 0
    labels: int = CLASSES
    shot: int = 0
    query: int = 0
    phases: tuple[str, ...] = ('main',)
    privileged: bool = False
    few_labels: bool = False
    options: dict = field(default_factory=dict)


def backbone(depth: int) -> dict:
    """A CIFAR ResNet for 8x8 digits; the student's is thin."""
    widths = (4, 4, 8, 16) if depth == 8 else (16, 16, 32, 64)
    kind = dict(type='CIFARResNet', depth=depth, widths=widths, in_channels=1)
    return dict(backbone=kind, neck=dict(type='GlobalAveragePooling'))


def classifier(depth: int) -> dict:
    width = 16 if depth == 8 else 64
    head = dict(type='LinearClsHead', num_classes=10, in_channels=width)
    return dict(type='ImageClassifier', **backbone(depth), head=head)


def encoder(
    depth: int,
    neck: str = 'pool',
    head: bool = True,
    prototypes: int = 0,
    dropout: float | tuple = 0.0,
) -> dict:
    """A self-supervised encoder; its linear neck gives the teacher's width."""
    cfg = dict(type='SelfSupervisedEncoder', **backbone(depth))
    if neck == 'linear':
        width = dict(in_channels=16, out_channels=64)
        cfg['neck'] = dict(
            type='LinearNeck', gap_dim=2, norm_cfg=None, **width
        )
    if head:
        width = dict(num_layers=2, hidden_dim=64, out_dim=32)
        cfg['head'] = dict(type='ProjectionHead', dropout=dropout, **width)
    if prototypes:
        kind = 'PrototypeHead'
        cfg['prototypes'] = dict(type=kind, num_prototypes=prototypes)
    return cfg


def of_digits(student: dict, teacher: dict | None) -> dict:
    """Settings that put networks for digits in place of large ones."""
    options = dict(
        student=student,
        teacher=teacher,
        input_size=DIGITS,
        data_preprocessor=DIGITS_PIXELS,
    )
    return dict(image=DIGITS, options=options)


CASES: dict[str, Case] = {}


def add(leaves: str, **settings: Any) -> None:
    """Take leaves, by their paths, with the same settings."""
    CASES.update({leaf: Case(leaf, **settings) for leaf in leaves.split()})


# Every method in configs/_base_/methods/ has a leaf here.
add("""
    at/at_resnet56_resnet20_cifar100
    cc/cc_resnet56_resnet20_cifar100
    crd/crd_resnet56_resnet20_cifar100
    crd/crd_kd_resnet56_resnet20_cifar100
    fitnet/fitnet_resnet56_resnet20_cifar100
    infonce/infonce_resnet32x4_resnet8x4_cifar100
    kd/kd_resnet56_resnet20_cifar100
    kd/kd_sinkhorn_resnet110_resnet20_cifar100
    mcl_okd/mcl_okd_kd_branch_resnet110_resnet32_cifar100
    nst/nst_resnet56_resnet20_cifar100
    okddip/okddip_kd_branch_resnet110_resnet32_cifar100
    pkt/pkt_resnet56_resnet20_cifar100
    protocpc/protocpc_resnet56_resnet20_cifar100
    protocpc/protocpc_crd_resnet56_resnet20_cifar100
    protocpc/protocpc_softmax_resnet110_resnet20_cifar100
    rkd/rkd_resnet56_resnet20_cifar100
    sp/sp_resnet56_resnet20_cifar100
    vid/vid_resnet56_resnet20_cifar100
    wcord/wcord_resnet56_resnet20_cifar100
    wcord/wcord_kd_resnet56_resnet20_cifar100
""")
add(
    """
    ab/ab_resnet56_resnet20_cifar100
    fsp/fsp_resnet56_resnet20_cifar100
    ft/ft_resnet56_resnet20_cifar100
    """,
    phases=('warmup', 'main'),
)
add(
    """
    cocord/cocord_resnet56_resnet20_cifar100
    cocord/cocord_kd_resnet56_resnet20_cifar100
    cocord/cocord_cls0_resnet110_resnet32_cifar100
    cocord/cocord_slow_slow_resnet110_resnet32_cifar100
    cocord/cocord_teacher_none_resnet110_resnet32_cifar100
    cocord/cocord_none_teacher_resnet110_resnet32_cifar100
    """,
    views=2,
)
add(  # teachers whose feature is wider than the student's
    'cifar10_short/cocord cocord/cocord_resnet34_resnet18_in1k',
    views=2,
    **of_digits(classifier(8), classifier(14)),
)
add(
    """
    quickstart/crd_kd_digits
    wcord/wcord_digits wcord/gckt_digits wcord/lckt_digits
    wcord/gckt_wasserstein_digits
    """,
    image=DIGITS,
    few_labels=True,
)
add('privileged/wcord_digits', image=DIGITS, labels=2, privileged=True)
add(
    """
    online_digits/baseline_branch online_digits/baseline_network
    online_digits/cl_ilr_branch online_digits/dml_network
    online_digits/contrast_branch online_digits/contrast_network
    online_digits/ensemble_branch online_digits/ensemble_network
    online_digits/mcl_okd_branch online_digits/mcl_okd_network
    online_digits/okddip_branch online_digits/okddip_network
    online_digits/one_branch
    """,
    image=DIGITS,
)
add(  # the preprocessor cuts the views
    """
    ssl_digits/compress ssl_digits/oss ssl_digits/protocpc ssl_digits/seed
    ssl_digits/student_dino ssl_digits/student_protocpc ssl_digits/swav
    """,
    image=DIGITS,
    labels=0,
)
ONE_VIEW = dict(labels=0)
CROPS = dict(views=2, crops=2, labels=0)
add(
    'compress/compress_1q_swav_resnet50_resnet18_in1k',
    **of_digits(
        encoder(8, neck='linear', head=False), encoder(14, head=False)
    ),
    **ONE_VIEW,
)
add(
    """
    compress/compress_2q_swav_resnet50_resnet18_in1k
    label_free/cc_swav_resnet50_resnet18_in1k
    label_free/crd_swav_resnet50_resnet18_in1k
    label_free/reg_mocov2_resnet50_mobilenet_v2_in1k
    label_free/reg_bn_mocov2_resnet50_mobilenet_v2_in1k
    """,
    **of_digits(encoder(8, head=False), encoder(14, head=False)),
    **ONE_VIEW,
)
PLAIN = of_digits(encoder(8), encoder(14))
add('seed/seed_swav_resnet50_resnet18_in1k', **PLAIN, **ONE_VIEW)
add('seed/seed_multicrop_swav_resnet50_resnet18_in1k', **PLAIN, **CROPS)
SCORED = of_digits(encoder(8, prototypes=16), encoder(14, prototypes=16))
add(
    """
    protocpc_ssl/protocpc_new_swav_resnet50_resnet18_in1k
    protocpc_ssl/protocpc_swav_resnet50_resnet18_in1k
    """,
    **SCORED,
    **ONE_VIEW,
)
add(
    """
    protocpc_ssl/protocpc_multicrop_dino_resnet50_resnet18_in1k
    protocpc_ssl/protocpc_multicrop_swav_resnet50_resnet18_in1k
    """,
    **SCORED,
    **CROPS,
)
DROP = encoder(8, prototypes=16, dropout=(0.1, 0.05))
add(
    'oss/off_kd_drop_swav_resnet50_resnet18_130e_in1k',
    **of_digits(DROP, encoder(14, prototypes=16)),
    **CROPS,
)
add(
    """
    oss/oss_resnet50_resnet18_200e_in1k
    oss/oss_kd_drop_resnet50_resnet18_800e_in1k
    """,
    **of_digits(DROP, encoder(14, dropout=(0.1, 0.05))),
    **CROPS,
)
add(
    'oss/oss_kd_resnet50_resnet18_800e_in1k',
    **of_digits(encoder(8, prototypes=16), encoder(14)),
    **CROPS,
)
add('swav/swav_drop_resnet18_800e_in1k', **of_digits(DROP, None), **CROPS)
add(
    """
    dino/dino_resnet18_100e_in1k protocpc_self/protocpc_self_resnet50_in1k
    swav/swav_resnet18_100e_in1k swav/swav_bs4096_resnet18_100e_in1k
    """,
    **of_digits(encoder(8, prototypes=16), None),
    **CROPS,
)
add(
    """
    few_shot/mcl_okd_convnet4_omniglot_5way_1shot
    few_shot/okddip_convnet4_omniglot_5way_1shot
    few_shot/protonet_convnet4_omniglot_5way_1shot
    few_shot/rkd_da_convnet4_convnet4_omniglot_5way_1shot
    few_shot/rkd_d_convnet4_convnet4_omniglot_5way_1shot
    """,
    image=OMNIGLOT,
    shot=1,
    query=5,
)
add(
    'evaluation/linear_resnet18_in1k',
    image=DIGITS,
    options=dict(
        classifier(14),
        type='LinearProbe',
        checkpoint=None,
        data_preprocessor=DIGITS_PIXELS,
    ),
)


#: Cases that have the name of a leaf that is gone, as recordings do: the leaf
#: and the options that give its model.
COCORD = 'cocord/cocord_resnet110_resnet32_cifar100'
FORMER_LEAVES: dict[str, tuple[str, dict]] = {
    'kd/kd_sinkhorn_resnet110_resnet20_cifar100': (
        'kd/kd_resnet110_resnet20_cifar100',
        {'losses.kd': dict(assignment='sinkhorn', sinkhorn_iterations=3)},
    ),
    'protocpc/protocpc_softmax_resnet110_resnet20_cifar100': (
        'protocpc/protocpc_resnet110_resnet20_cifar100',
        {'losses.protocpc.assignment': 'softmax'},
    ),
    'cocord/cocord_kd_resnet56_resnet20_cifar100': (
        'cocord/cocord_resnet56_resnet20_cifar100',
        {'losses.kd': dict(type='KDLoss', temperature=4.0, loss_weight=1.0)},
    ),
    'cocord/cocord_slow_slow_resnet110_resnet32_cifar100': (
        COCORD,
        dict(contrastive_encoder='slow_student'),
    ),
    'cocord/cocord_teacher_none_resnet110_resnet32_cifar100': (
        COCORD,
        dict(cognate_encoder=None),
    ),
    'cocord/cocord_none_teacher_resnet110_resnet32_cifar100': (
        COCORD,
        dict(contrastive_encoder=None, cognate_encoder='teacher'),
    ),
    'swav/swav_resnet18_100e_in1k': ('swav/swav_resnet18_200e_in1k', {}),
}


# One case ------------------------------------------------------------------
def frozen_teacher(model: nn.Module) -> nn.Module | None:
    """The teacher of a model that keeps it out of its submodules."""
    teacher = getattr(model, 'teacher', None)
    inside = any(module is teacher for module in model.modules())
    return None if inside else teacher


def enter(model: nn.Module, phase: str) -> None:
    """Be in the phase 'warmup' or 'main' of a method that has both."""
    if hasattr(model, 'set_phase'):
        model.set_phase(phase)
    elif hasattr(model, 'set_stage'):
        model.set_stage(('warmup', 'main').index(phase) + 1)


def leaf_config(leaf: str) -> Config:
    """A leaf with a random teacher."""
    leaf, options = FORMER_LEAVES.get(leaf, (leaf, {}))
    cfg = Config.fromfile(ROOT / 'configs' / f'{leaf}.py')
    cfg.merge_from_dict(
        {f'model.{key}': value for key, value in options.items()}
    )
    if 'teacher_ckpt' in cfg.model:
        cfg.model.teacher_ckpt = None
    return cfg


def each_dict(part: Any) -> Iterator[dict]:
    """All dicts inside of a config, at any depth."""
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for inner in part:
            yield from each_dict(inner)


def build(case: Case) -> nn.Module:
    """The model of a leaf, with short queues and few negatives."""
    cfg = leaf_config(case.leaf)
    if 'data_preprocessor' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    for key, value in copy.deepcopy(case.options).items():
        cfg.model[key] = value
    for part in each_dict(cfg.model):
        if part.get('type') == 'FeatureQueue':
            part['size'] = QUEUE
        if part.get('queue_size'):
            part['queue_size'] = QUEUE
        if part.get('num_negatives'):
            part['num_negatives'] = NEGATIVES
    torch.manual_seed(0)
    return MODELS.build(cfg.model).train()


def label(case: Case, row: int) -> int:
    """A sample's class; -1 for every third sample where labels are few."""
    return -1 if case.few_labels and row % 3 == 0 else row % case.labels


def batch(case: Case, step: int) -> dict:
    """Images and samples as a dataloader gives them.

    Half of the samples are those of the step before, whose rows in banks have
    changed.
    """
    rows = [step * BATCH // 2 + i for i in range(BATCH)]
    if case.shot:
        shots, queries = range(case.shot), range(case.shot, case.query + 1)
        rows = [
            way + i * case.labels
            for part in (shots, queries)
            for way in range(3)
            for i in part
        ]
    generator = torch.Generator().manual_seed(step)
    channels, *size = case.image
    views = [
        255 * torch.rand(len(rows), channels, *size, generator=generator)
        for size in [size] * case.views + [[6, 6]] * case.crops
    ]
    samples = [DataSample(metainfo=dict(sample_idx=row)) for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        if case.labels:
            sample.set_gt_label(label(case, row))
    data = dict(inputs=views[0] if len(views) == 1 else views)
    if case.privileged:
        data['teacher_inputs'] = views[0].flip(0)
    return dict(data, data_samples=samples)


def copied(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors}


def state(model: nn.Module | None) -> dict[str, Tensor]:
    return {} if model is None else copied(model.state_dict().items())


def prepare(case: Case, model: nn.Module, teacher: nn.Module | None) -> None:
    """Bring a new model to where recording begins.

    Banks get their length, and the teacher's batch norms the statistics of a
    batch: a random teacher's maps grow from layer to layer without them, and
    its loss swamps every other in the sum.
    """
    if hasattr(model, 'learn_dataset'):
        labels = None
        if case.labels:
            rows = range(SAMPLES)
            labels = torch.tensor([label(case, row) for row in rows])
        model.learn_dataset(SAMPLES, labels)
    if teacher is not None:
        norms = [m for m in teacher.modules() if hasattr(m, 'running_mean')]
        for norm in norms:
            norm.train().momentum = None  # the mean over all batches
        data = model.data_preprocessor(batch(case, 0), True)
        images = data.get('teacher_inputs', data['inputs'])
        with torch.no_grad():
            teacher(images[0] if isinstance(images, list) else images)
        teacher.eval()


def take_steps(case: Case, start: dict | None) -> dict:
    """All numbers of a case, from the weights in ``start`` if it has any."""
    model = build(case)
    teacher = frozen_teacher(model)
    if start is None:
        prepare(case, model, teacher)
    else:
        model.load_state_dict(start['initial'])
        if teacher is not None:
            teacher.load_state_dict(start['teacher'])
    initial, losses, gradients = state(model), {}, {}
    for phase in case.phases:
        enter(model, phase)
        for step in range(STEPS):
            torch.manual_seed(step)
            data = model.data_preprocessor(batch(case, step), True)
            total, logged = model.parse_losses(model(**data, mode='loss'))
            model.zero_grad()
            total.backward()
            learnt = [
                (f'{phase} {step}: {name}', p)
                for name, p in model.named_parameters()
                if p.grad is not None
            ]
            gradients.update(copied((name, p.grad) for name, p in learnt))
            for name, value in logged.items():
                losses[f'{phase} {step}: {name}'] = value.detach().clone()
            with torch.no_grad():
                for _, p in learnt:
                    # No tensor moves far, whatever the weight of its loss.
                    p -= 0.01 * p.grad / p.grad.abs().max().clamp(min=1e-12)
    return dict(
        initial=initial,
        losses=losses,
        gradients=gradients,
        final=state(model),
        teacher=state(teacher),
    )


# Training runs -------------------------------------------------------------
RUNS = dict(
    crd_kd='quickstart/crd_kd_digits',
    cocord='cifar10_short/cocord',
    oss='ssl_digits/oss',
)


def run_config(name: str) -> Config:
    """A run of two epochs on digits with queues that are full in the second.

    CoCoRD is the short one of CIFAR-10, with digits for its images.
    """
    cfg = leaf_config(RUNS[name])
    if cfg.train_cfg.by_epoch:
        cfg.train_cfg.max_epochs = 2
    else:
        cfg.train_cfg.update(max_iters=28, val_interval=28)
    for part in each_dict([cfg[key] for key in cfg]):
        if part.get('queue_size'):
            part['queue_size'] = 256
        if part.get('type') == 'QueueHook':
            part['start_epoch'] = 1
    if name == 'cocord':
        cfg.model.update(
            student=classifier(8), teacher=classifier(14), input_size=DIGITS
        )
        cfg.data_preprocessor.update(
            **DIGITS_PIXELS, to_rgb=False, crop_padding=1, flip_prob=0.0
        )
        for split in ('train', 'val', 'test'):
            source = 'train' if split == 'train' else 'test'
            cfg[f'{split}_dataloader'].dataset.dataset = dict(
                type='Digits', split=source, pipeline=[]
            )
    return cfg


class Recorder(Hook):
    """Notes where a run starts, having seeded it, and what it logs."""

    priority = 'VERY_LOW'

    def __init__(self, teacher: dict[str, Tensor]) -> None:
        self.teacher = teacher
        self.losses: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        if self.teacher:
            frozen_teacher(runner.model).load_state_dict(self.teacher)
        self.initial = state(runner.model)
        set_random_seed(0)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any, outputs: dict
    ) -> None:
        for name, value in outputs.items():
            value = torch.as_tensor(value).detach().clone()
            self.losses[f'{runner.iter}: {name}'] = value


def train(name: str, start: dict | None) -> dict:
    """All numbers of a run, from the weights in ``start`` if it has any."""
    cfg = run_config(name)
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = cfg.experiment_name = folder
        cfg.log_level = 'WARNING'
        if start is not None:
            cfg.load_from = f'{folder}/start.pth'
            torch.save(dict(state_dict=start['initial']), cfg.load_from)
        cfg.setdefault('runner_type', 'Runner')
        runner = RUNNERS.build(cfg)
        recorder = Recorder({} if start is None else start['teacher'])
        runner.register_hook(recorder)
        runner.train()
    return dict(
        initial=recorder.initial,
        losses=recorder.losses,
        final=state(runner.model),
        teacher=state(frozen_teacher(runner.model)),
    )


# All of them ---------------------------------------------------------------
def same(old: Tensor, new: Tensor) -> bool:
    """Whether two tensors agree in dtype, shape and every bit."""
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return False
    old, new = (
        x.reshape(-1).contiguous().view(torch.uint8) for x in (old, new)
    )
    return torch.equal(old, new)


def how(old: Tensor, new: Tensor) -> str:
    """What differs between two tensors, for a reader."""
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f'{old.dtype} {[*old.shape]} is {new.dtype} {[*new.shape]}'
    gap = (old.double() - new.double()).abs().max().item()
    largest = old.double().abs().max().item()
    return f'by up to {gap:.3g} of {largest:.3g}'


def differences(
    old: dict[str, Tensor], new: dict[str, Tensor], renamed: dict[str, str]
) -> Iterator[str]:
    """What is not as it was; tensors of another name are found by content."""
    spare = new.keys() - old.keys()
    for name, value in old.items():
        if name in new:
            if not same(value, new[name]):
                yield f'{name} differs {how(value, new[name])}'
            continue
        last = name.rpartition('.')[2]
        twins = [
            other
            for other in sorted(spare)
            if same(value.flatten(), new[other].flatten())
        ]
        if not twins:
            yield f'{name} is gone'
            continue
        twin = min(twins, key=lambda other: not other.endswith(last))
        spare.remove(twin)
        renamed[name.rpartition(': ')[2]] = twin.rpartition(': ')[2]
    for name in sorted(spare):
        yield f'{name} is new'


def chosen(words: list[str]) -> dict:
    """A function of the start for every case whose name has a word in it."""
    every = {
        name: functools.partial(take_steps, case)
        for name, case in CASES.items()
    }
    for name in RUNS:
        every[f'run/{name}'] = functools.partial(train, name)
    wanted = {
        name: function
        for name, function in every.items()
        if not words or any(word in name for word in words)
    }
    if not wanted:
        raise SystemExit(f'no case has any of {words} in its name')
    return wanted


def setting() -> dict[str, str]:
    """What bits depend on besides the code."""
    return dict(
        torch=str(torch.__version__),
        cpu=torch.backends.cpu.get_cpu_capability(),
    )


def record(path: Path, words: list[str]) -> int:
    """Write the numbers of the present code; 0, as nothing can differ."""
    results = {}
    for name, function in chosen(words).items():
        begin = time.perf_counter()
        results[name] = function(None)
        print(f'{time.perf_counter() - begin:6.1f} s  {name}', flush=True)
    torch.save(dict(setting=setting(), results=results), path)
    print(f'{path}: {path.stat().st_size / 2**20:.0f} MiB')
    return 0


def compare(path: Path, words: list[str]) -> int:
    """Print what is not as recorded; 1 if anything is not."""
    old = torch.load(path, weights_only=True, mmap=True)
    if old['setting'] != setting():
        print(f'recorded with {old["setting"]}, this is {setting()}')
    failed = []
    for name, function in chosen(words).items():
        if name not in old['results']:
            print(f'          {name}: not in {path}')
            continue
        begin = time.perf_counter()
        before, found, renamed = old['results'][name], [], {}
        try:
            after = function(before)
            for part in before:
                found += [
                    f'{part}, {line}'
                    for line in differences(before[part], after[part], renamed)
                ]
        except Exception as error:
            found.append(f'{type(error).__name__}: {error}')
        print(
            f'{time.perf_counter() - begin:6.1f} s  {name}: '
            + ('differs' if found else 'equal'),
            flush=True,
        )
        names = [f'{was} is now {now}' for was, now in renamed.items()]
        more = [f'and {len(found) - SHOWN} more'] if found[SHOWN:] else []
        for line in found[:SHOWN] + more + names:
            print(f'          {line}')
        if found:
            failed.append(name)
    print(f'{len(failed)} differ: {", ".join(failed)}' if failed else 'equal')
    return bool(failed)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('command', choices=('record', 'compare'))
    parser.add_argument('file', type=Path)
    parser.add_argument('-k', dest='words', action='append', default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    register_all_modules()
    command = dict(record=record, compare=compare)[args.command]
    return command(args.file, args.words)


if __name__ == '__main__':
    raise SystemExit(main())
