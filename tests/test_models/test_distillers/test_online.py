import gc
import itertools
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import (
    digits_batch,
    digits_config,
    losses_of,
    run_distributed,
    tiny_classifier,
)
from online_distiller import (
    BOTH,
    BRANCH,
    EVERY,
    GAP,
    MCL,
    build,
    config,
    images,
    networks,
)
from torch.nn.parallel import DistributedDataParallel

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.models import RepresentationReader
from mmdistill.models.losses import EnsembleKDLoss
from mmdistill.registry import MODELS
from mmdistill.utils import register_all_modules


# Peers and what they share --------------------------------------------------
@BOTH
def test_peers_are_complete_networks(kind):
    model = build(**kind).eval()
    x = images()
    peers, shared = model.group.read(x)
    assert len(peers) == 3
    for peer, network in zip(peers, networks(model), strict=True):
        torch.testing.assert_close(peer.logits, network(x))
    if kind:
        wanted = RepresentationReader(model.student)
        wanted.numbers = (1,)
        wanted = wanted(x).maps[0].mean((2, 3))
    else:
        wanted = torch.cat([peer.feature for peer in peers], 1)
    torch.testing.assert_close(shared, wanted)


@BOTH
def test_peers_begin_apart(kind):
    model = build(**kind)
    model.init_weights()
    for one, other in itertools.combinations(networks(model), 2):
        for part in ('backbone.layer3.0.conv1', 'head.fc'):
            a, b = (n.get_submodule(part).weight for n in (one, other))
            assert not torch.equal(a, b)
    # By their own init_cfg: Kaiming normal, fan out.
    model = build(student=tiny_classifier(widths=(16, 16, 32, 64)), **kind)
    model.init_weights()
    for network in networks(model):
        std = network.backbone.layer3[0].conv2.weight.std()
        torch.testing.assert_close(
            std, torch.tensor((2 / (9 * 64)) ** 0.5), rtol=0.05, atol=0
        )


@BOTH
def test_one_predicts_with_its_gated_ensemble(kind):
    """The one that the loss trains, of the shared map or all features."""
    model = build(losses=dict(one=EVERY['one']), **kind).eval()
    _, norm, _ = model.losses.one.gate
    norm.bias.data = torch.tensor([0.0, 1.0, 2.0])  # else almost a mean
    batch = model.data_preprocessor(digits_batch(), False)
    samples = model(**batch, mode='predict')
    peers, shared = model.group.read(batch['inputs'])
    logits = torch.stack([peer.logits for peer in peers], dim=1)
    gate = model.losses.one.gate(shared).softmax(dim=1)
    wanted = (gate[:, :, None] * logits).sum(dim=1)
    for sample, own, peer in zip(samples, wanted, logits, strict=True):
        torch.testing.assert_close(sample.ensemble_scores, own)
        torch.testing.assert_close(sample.peer_scores, peer)
    assert not torch.allclose(wanted, logits.mean(dim=1), rtol=0.05)
    others = build(losses=dict(dml=EVERY['dml']), **kind).eval()
    batch = others.data_preprocessor(digits_batch(), False)
    samples = others(**batch, mode='predict')
    assert not any('ensemble_scores' in sample for sample in samples)


# Losses ---------------------------------------------------------------------
@BOTH
def test_mcl_okd_is_equation_12(kind):
    losses = dict(
        ensemble=dict(type='EnsembleKDLoss', temperature=3.0),
        mcl=dict(MCL, loss_weight=0.025),
    )
    model = build(losses=losses, **kind).eval()
    table = torch.randint(40, (8, 5))
    model.losses.mcl.banks[0].draw_negatives = lambda *_: table
    batch = digits_batch()
    found = losses_of(model, batch)
    assert list(found) == ['task', 'ensemble', 'mcl']
    x = model.data_preprocessor(batch, False)['inputs']
    label, index = torch.arange(8), torch.arange(8)
    alone = networks(model)
    logits = [network(x) for network in alone]
    task = sum(F.cross_entropy(z, label) for z in logits)
    torch.testing.assert_close(found['task'], task)
    torch.testing.assert_close(found['ensemble'], EnsembleKDLoss(3.0)(logits))
    features = [n.extract_feat(x)[0] for n in alone]
    mcl = model.losses.mcl(features, index, label, negatives=table)
    torch.testing.assert_close(found['mcl'], mcl)
    total, log = model.parse_losses(found)
    assert total == log['loss'] == sum(found.values())


@BOTH
def test_every_part_learns(kind):
    model = build(**kind)
    model.train()
    batch = digits_batch()
    sum(losses_of(model, batch).values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    before = model.losses.mcl.banks[2].features
    assert len(before) == 40


def test_task_weight():
    model = build(losses=dict(dml=EVERY['dml'])).eval()
    batch = digits_batch()
    full = losses_of(model, batch)
    model.task_weight = 0.5
    half = losses_of(model, batch)
    torch.testing.assert_close(half['task'], 0.5 * full['task'])
    model.task_weight = 0
    assert list(losses_of(model, batch)) == ['dml']


@pytest.mark.parametrize('shared_gradient', ['sum', 'mean'])
def test_a_step_leaves_no_graph_behind(shared_gradient):
    model = build(**BRANCH, shared_gradient=shared_gradient)
    maps = []
    model.student.backbone.layer1.register_forward_hook(
        lambda module, args, output: maps.append(weakref.ref(output))
    )
    gc.disable()
    try:
        losses = losses_of(model, digits_batch())
        sum(losses.values()).backward()
        del losses
        assert maps[0]() is None
    finally:
        gc.enable()


def test_peers_without_a_loss_learn_alone():
    model = build(losses=None)
    assert list(losses_of(model, digits_batch())) == ['task']


def test_a_loss_of_ones_own_in_ten_lines():
    class Consensus(torch.nn.Module):
        """Pulls features to their mean."""

        level = 'feature'
        compares = 'peers'

        def forward(self, peers):
            stacked = torch.stack(peers)
            return (stacked - stacked.mean(0)).square().mean()

    MODELS.register_module(module=Consensus, force=True)
    model = build(losses=dict(own=dict(type='Consensus')))
    peers, _ = model.eval().group.read(images())
    expected = torch.stack([p.feature for p in peers]).var(0, unbiased=False)
    found = model.losses.own([p.feature for p in peers])
    torch.testing.assert_close(found, expected.mean())
    assert losses_of(model, digits_batch())['own'] > 0


# A teacher besides ----------------------------------------------------------
def test_a_teacher_teaches_the_leader_alone():
    model = build(
        teacher=tiny_classifier(depth=14),
        losses=dict(
            kd=dict(type='KDLoss'),
            at=dict(type='ATLoss'),
            ensemble=EVERY['ensemble'],
        ),
        **BRANCH,
    ).eval()
    batch = digits_batch()
    found = losses_of(model, batch)
    assert set(found) == {'task', 'ensemble', 'kd', 'at'}
    x = model.data_preprocessor(batch, False)['inputs']
    expected = model.losses.kd(model.student(x), model.teacher(x))
    torch.testing.assert_close(found['kd'], expected)
    (found['kd'] + found['at']).backward()
    assert all(p.grad is None for p in model.peers.parameters())
    assert not any('teacher' in key for key in model.state_dict())
    model.to(torch.float64)
    assert next(model.teacher.parameters()).dtype == torch.float64
    assert len(model.targets['teacher'].fingerprint()) == 64


def test_without_a_teacher_there_is_no_fingerprint():
    assert build().targets.meta() == {}


# Validation -----------------------------------------------------------------
@BOTH
def test_predictions_are_the_leaders(kind):
    model = build(**kind).eval()
    data = model.data_preprocessor(digits_batch(), False)
    samples = model(**data, mode='predict')
    expected = model.student(data['inputs'])
    peers, _ = model.group.read(data['inputs'])
    torch.testing.assert_close(
        torch.stack([s.pred_score for s in samples]), expected.softmax(1)
    )
    torch.testing.assert_close(
        torch.stack([s.peer_scores for s in samples]),
        torch.stack([p.logits for p in peers], 1),
    )
    assert torch.equal(model(data['inputs'], mode='tensor'), expected)


METRICS = [dict(type='Accuracy'), dict(type='PeerAccuracy')]


def runner(work_dir, epochs=2, **kwargs) -> DistillRunner:
    cfg = digits_config(work_dir, **kwargs)
    cfg.default_hooks.update(export_student={}, teacher_check={})
    cfg.train_cfg.max_epochs = epochs
    cfg.model = config(
        losses=EVERY | dict(mcl=dict(MCL, num_negatives=16)), **BRANCH
    )
    cfg.val_evaluator = cfg.test_evaluator = METRICS
    return DistillRunner.from_cfg(cfg)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A run of two epochs, and its leader's accuracy after each."""
    register_all_modules()
    run = runner(tmp_path_factory.mktemp('run'))
    run.leader = []
    call_hook = run.call_hook

    def watch(name, **kwargs):
        if name == 'after_val_epoch':
            run.leader.append(kwargs['metrics']['peers/leader'])
        call_hook(name, **kwargs)

    run.call_hook = watch
    run.train()
    run.call_hook = call_hook
    return run


def by_hand(run) -> dict[str, float]:
    """The metrics of all peers, of ONE's ensemble and of the mean."""
    model = run.model.eval()
    scores, gated, label = [], [], []
    for data in run.test_dataloader:
        prepared = model.data_preprocessor(data, False)
        peers, shared = model.group.read(prepared['inputs'])
        scores.append(torch.stack([p.logits for p in peers]))
        gate = model.losses.one.gate(shared).softmax(1)
        gated.append((gate.t()[:, :, None] * scores[-1]).sum(0))
        label += [int(s.gt_label) for s in data['data_samples']]
    scores, label = torch.cat(scores, 1), torch.tensor(label)
    mean = scores.softmax(2).log().mean(0)
    ensembles = [mean.argmax(1), torch.cat(gated).argmax(1)]
    classes = [*scores.argmax(2), *ensembles]
    *peers, mean, ensemble = (
        float((c == label).float().mean()) for c in classes
    )
    pairs = itertools.combinations(classes[:-2], 2)
    differ = [float((a != b).float().mean()) for a, b in pairs]
    fractions = dict(
        {f'top1_{i}': value for i, value in enumerate(peers, 1)},
        leader=peers[-1],
        ensemble=ensemble,
        ensemble_mean=mean,
        disagreement=sum(differ) / len(differ),
    )
    return {f'peers/{k}': 100 * v for k, v in fractions.items()}


def test_metrics_of_a_run(run, tmp_path):
    """The leader's accuracy is the accuracy, also of what is written."""
    metrics = run.test()
    leader = pytest.approx(metrics['peers/leader'])
    assert metrics == pytest.approx(by_hand(run) | {'accuracy/top1': leader})

    # Exported, there is a leader only, even within this model.
    path = f'{run.work_dir}/student.pth'
    assert not any('peers' in key for key in load_file(path)['state_dict'])
    alone = runner(tmp_path / 'alone', load_from=path)
    assert alone.test() == {'accuracy/top1': leader}
    # A training checkpoint brings all peers along.
    path = f'{run.work_dir}/epoch_2.pth'
    again = runner(tmp_path / 'again', load_from=path).test()
    assert again == pytest.approx(metrics)


def test_best_is_the_leaders(run):
    best = load_file(f'{run.work_dir}/student_best.pth')
    assert best['meta']['score'] == pytest.approx(max(run.leader))


def test_resume_is_bit_exact(run, tmp_path):
    def state(run):
        optimizer = run.optim_wrapper.state_dict()['state']
        momenta = {
            f'optimizer.{i}': group['momentum_buffer']
            for i, group in optimizer.items()
        }
        return {**run.model.state_dict(), **momenta}

    runner(tmp_path, epochs=1).train()
    resumed = runner(tmp_path, resume=True)
    resumed.train()
    whole, parts = state(run), state(resumed)
    assert whole.keys() == parts.keys()
    for part in ('peers.0.', 'peers.1.', 'student.', 'mcl.banks.2.features',
                 'mcl.embeds.0', 'one.gate', 'okddip.query'):  # fmt: skip
        assert any(part in key for key in whole), part
    assert not [k for k in whole if not torch.equal(whole[k], parts[k])]


# Several processes ----------------------------------------------------------
def two_steps(rank: int, world: int, kind: dict) -> dict:
    register_all_modules()
    torch.manual_seed(0)
    model = build(**kind).double().train()
    for module in model.modules():  # its statistics are each process's own
        if isinstance(module, torch.nn.modules.batchnorm._NormBase):
            module.eval()
    table = torch.randint(
        40, (40, 5), generator=torch.Generator().manual_seed(1)
    )
    model.losses.mcl.banks[0].draw_negatives = lambda i, *_: table[i]
    ddp = model if world == 1 else DistributedDataParallel(model)
    for start in (0, 20):
        model.zero_grad()
        batch = digits_batch(8, start=start)
        share = slice(rank * 8 // world, (rank + 1) * 8 // world)
        data = dict(
            inputs=batch['inputs'].double()[share],
            data_samples=batch['data_samples'][share],
        )
        sum(ddp(**data, mode='loss').values()).backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    return grads | dict(model.named_buffers())


def both_kinds(rank: int, world: int) -> list[dict]:
    return [two_steps(rank, world, kind) for kind in ({}, BRANCH)]


def test_two_processes_equal_one():
    expected = both_kinds(0, 1)
    for found in run_distributed(both_kinds, 2):
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.keys() == theirs.keys()
            for key, value in theirs.items():
                np.testing.assert_allclose(
                    ours[key], value, rtol=1e-7, atol=1e-11, err_msg=key
                )


# Wrong input ----------------------------------------------------------------
NO_STAGES = dict(type='LeNet5', num_classes=-1)

TWENTY = tiny_classifier(classes=20)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_peers=1), 'at least two peers.*model.num_peers=1'),
        (dict(num_peers=None, peers=[]), 'at least two.*num_peers=1'),
        (
            dict(num_peers=4, peers=[tiny_classifier()]),
            'num_peers=4 counts the student.*lists 1 others',
        ),
        (
            dict(num_peers=None, peers=[tiny_classifier(), TWENTY]),
            r'model.peers\[1\] gives 20 and model.student 10.*num_classes',
        ),
        (dict(mode='tree'), "model.mode is one of .*got mode='tree'"),
        (dict(mode='branch'), "mode='branch' needs model.cut.*cut=None"),
        (
            dict(**BRANCH, num_peers=None, peers=[tiny_classifier()]),
            'leave model.peers out',
        ),
        (dict(cut=1), "mode='network' shares nothing: leave model.cut"),
        (dict(shared_gradient='max'), "got mode='network', shared_gr.*'max'"),
        (
            dict(mode='branch', cut=3),
            r'cut=3 must leave .* CIFARResNet gives the maps \[0, 1, 2, 3\]'
            r'.*one of \[0, 1, 2\]',
        ),
        (dict(mode='branch', cut=-1), 'cut=-1 must leave branches a stage'),
        (
            dict(
                mode='branch',
                cut=1,
                student=tiny_classifier() | dict(backbone=NO_STAGES,
                head=dict(type='LinearClsHead', num_classes=10,
                          in_channels=120)),
                input_size=(1, 32, 32)),
            "LeNet5 has none: .*use another backbone or model.mode='network'",
        ),
        (
            dict(teacher=tiny_classifier()),
            r'teacher together with model.teacher, got the losses \[\] and '
            r"the targets \['teacher'\]",
        ),
        (
            dict(losses=dict(kd=dict(type='KDLoss'))),
            r"got the losses \['kd'\] and the targets \[\]; give both",
        ),
        (dict(losses=dict(task=EVERY['dml'])), r"may not be named \['task'\]"),
        (dict(losses=None, task_weight=0), 'there is nothing to learn'),
        (
            dict(memories=dict(queue=dict(type='FeatureQueue', size=4))),
            "memories names 'queue', which no loss of .*'mcl'.* keeps",
        ),
        (
            dict(losses=dict(x=dict(type='DMLLos'))),
            "losses.x.type='DMLLos' is not registered; did you mean DMLLoss",
        ),
        (
            dict(
                losses=dict(ft=dict(type='FTLoss')),
                teacher=tiny_classifier(depth=14),
            ),
            r"OnlineDistiller has no warm-up phase, which losses \['ft'\]",
        ),
        (
            dict(student=dict(type='ImageClassifier',
                              backbone=tiny_classifier()['backbone'],
                              neck=GAP), task_weight=0, **BRANCH),
            'model.student must be a classifier with a feature',
        ),
    ],
)  # fmt: skip
def test_wrong_configs(kwargs, message):
    with pytest.raises((ValueError, KeyError), match=message):
        MODELS.build(config(**kwargs))


def test_a_built_student_gives_no_peers():
    student = MODELS.build(tiny_classifier())
    with pytest.raises(ValueError, match='must be a config, got a built Imag'):
        MODELS.build(config(student=student))


class Skips(torch.nn.Module):
    """Two stages, the second of which sees the images again."""

    out_indices = (1,)

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.two = torch.nn.Conv2d(5, 4, 3, padding=1)

    def forward(self, x):
        one = self.one(x)
        maps = one, self.two(torch.cat([one, x], 1))
        return tuple(maps[i] for i in self.out_indices if i < 2)


class Computes(Skips):
    """Its first map is no module's output."""

    def forward(self, x):
        maps = torch.cat([self.one(x), x], 1), x
        return tuple(maps[i] for i in self.out_indices if i < 2)


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        (Skips, 'needs more of what precedes than that map .a branch of equ'),
        (Computes, 'no module of it gives that map as it is; choose another'),
    ],
)
def test_a_network_that_cannot_be_cut(kind, message):
    MODELS.register_module(module=kind, force=True)
    student = tiny_classifier(widths=(4, 4, 4, 4))
    student['backbone'] = dict(type=kind.__name__)
    if kind is Computes:
        student['head']['in_channels'] = 1
    with pytest.raises(ValueError, match=f'cut=1 cannot cut .*{message}'):
        MODELS.build(config(student=student, **BRANCH))


def test_several_views():
    model = build()
    with pytest.raises(ValueError, match='one view of every image, got 2'):
        model.loss([images(), images()], digits_batch()['data_samples'])


def test_peers_are_not_compared_elsewhere():
    cfg = config(type='OfflineDistiller', teacher=tiny_classifier())
    del cfg['num_peers']
    cfg['losses'] = dict(dml=EVERY['dml'])
    with pytest.raises(ValueError, match="type='OnlineDistiller'"):
        MODELS.build(cfg)


@pytest.mark.parametrize(
    ('level', 'requires', 'message'),
    [
        ('maps', (), "name its level, one of .'feature', 'logits'.*'maps'"),
        ('logits', ('queue',), r"requires \['queue'\]; .*'shared'"),
    ],
)
def test_a_loss_that_peers_cannot_serve(level, requires, message):
    class Strange(torch.nn.Module):
        compares = 'peers'

        def forward(self, peers, **required):
            return peers[0].sum()

    Strange.level, Strange.requires = level, requires
    with pytest.raises(ValueError, match=message):
        MODELS.build(config(losses=dict(strange=Strange())))
