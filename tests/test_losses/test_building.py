"""Losses in loops that know no runner, no config and no distiller."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

import mmdistill.losses as public
from mmdistill.losses import DistillLoss, KDLoss, Phase, build_loss
from mmdistill.models import losses
from mmdistill.models.memories import FeatureQueue, InstanceBank

N, SAMPLES, CLASSES = 8, 40, 5
#: What a loss needs besides examples and labels.
OPTIONS = dict(
    CRDLoss=dict(num_negatives=16),
    GCKTLoss=dict(num_negatives=16),
    MCLLoss=dict(num_negatives=16),
    CompRessLoss=dict(queue_size=20),
    InfoNCELoss=dict(queue_size=20),
    SEEDLoss=dict(queue_size=20),
    FeatureConfusionLoss=dict(classifier=dict(type='FeatureClassifier')),
)
#: Those whose two sides are as wide.
SAME_WIDTH = {'FSPLoss', 'FeatureConfusionLoss', 'InfoNCELoss'}
SAME_WIDTH |= {'SEEDLoss', 'PredictionLoss', 'SwappedPredictionLoss'}
NAMES = sorted(
    name
    for name in losses.__all__
    if name.endswith('Loss')
    and name not in ('DistillLoss', 'PeerLoss', 'PrototypicalLoss')
)


class Network(nn.Module):
    """Two maps, a feature and class scores of images (N, 1, 8, 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.classify = nn.Linear(width, CLASSES)

    def forward(self, images):
        first = self.first(images).relu()
        second = self.second(first).relu()
        feature = second.mean((2, 3))
        return [first, second], feature, self.classify(feature)


def seen(cls, network, images):
    maps, feature, logits = network(images)
    if cls.level == 'maps':
        return maps[-1:] if cls.__name__ == 'FTLoss' else maps
    return logits if cls.level == 'logits' else feature


@pytest.mark.parametrize('name', NAMES)
def test_trains_in_a_plain_loop(name):
    """The same lines for all: build, three steps, save, load."""
    cls = getattr(public, name)
    width = 6 if name in SAME_WIDTH else 10
    student, teacher = Network(6), Network(width)
    peers = [Network(6), Network(6), student]  # the leader is last
    images = torch.randn(SAMPLES, 1, 8, 8)
    labels = torch.arange(SAMPLES) % CLASSES
    with torch.no_grad():
        if cls.compares == 'peers':
            example = [[peer(images[:N])[1] for peer in peers]]
        else:
            example = [
                seen(cls, net, images[:N]) for net in (student, teacher)
            ]
    loss = build_loss(name, *example, labels=labels, **OPTIONS.get(name, {}))
    before = copy.deepcopy(student.state_dict())
    learning = [*peers] if cls.compares == 'peers' else [student]
    parts = [p for m in (*learning, loss) for p in m.parameters()]
    optimizer = torch.optim.SGD(parts, lr=0.01)
    for step in range(3):
        index = torch.arange(step * N, step * N + N)
        batch = images[index]
        fields = dict(sample_idx=index, label=labels[index])
        if cls.compares == 'peers':
            features = [peer(batch)[1] for peer in peers]
            fields['features'] = features
            fields['shared'] = torch.cat(features, 1)
            compared = [[seen(cls, peer, batch) for peer in peers]]
        else:
            with torch.no_grad():
                target = seen(cls, teacher, batch)
            compared = [seen(cls, student, batch), target]
        value = loss(*compared, **{k: fields[k] for k in loss.requires})
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        assert value.isfinite() and value.shape == ()
    after = student.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    again = build_loss(name, *example, labels=labels, **OPTIONS.get(name, {}))
    again.load_state_dict(loss.state_dict())


def test_widths_in_place_of_tensors():
    one = build_loss('CRDLoss', 6, 10, labels=[0, 1] * 20)
    assert one.embed_student.in_features == 6
    assert one.embed_teacher.in_features == 10
    assert one.bank_student.labels.tolist() == [0, 1] * 20
    hint = build_loss('HintLoss', [4, 8], [4, 16])
    assert [r.weight.shape[:2] for r in hint.regressors] == [(4, 4), (16, 8)]
    mcl = build_loss('MCLLoss', [6, 6, 8], labels=[0, 1] * 20)
    assert [e.in_features for e in mcl.embeds] == [6, 6, 8]


def test_an_option_wins_over_the_example():
    loss = build_loss('DINOLoss', 5, 5, num_prototypes=7)
    assert loss.center.value.shape == (7,)


def test_a_bank_without_labels():
    loss = build_loss('CRDLoss', 6, 10, num_samples=9, exclude_class=False)
    assert len(loss.bank_student) == 9
    value = loss(torch.randn(3, 6), torch.randn(3, 10), torch.arange(3))
    value.backward()


def test_a_class_of_ones_own():
    class MeanSquared(nn.Module):
        level = 'feature'

        def __init__(self, factor=1.0):
            super().__init__()
            self.factor = factor

        def forward(self, student, teacher):
            return self.factor * (student - teacher).square().mean()

    loss = build_loss(MeanSquared, factor=2.0)
    assert isinstance(loss, DistillLoss)
    half = torch.ones(2, 3, dtype=torch.bfloat16)
    assert loss(half, 0 * half).dtype == torch.float32
    assert isinstance(build_loss(KDLoss, 5, 5), KDLoss)


@pytest.mark.parametrize(
    'args, options, message',
    [
        (['CDRLoss'], {}, "no 'CDRLoss'; did you mean .*CRDLoss"),
        (['xyz'], {}, 'known are ABLoss, ATLoss'),
        (
            ['KDLoss'],
            dict(temprature=2),
            "no option 'temprature'; did you mean temperature",
        ),
        (['CRDLoss', 6, 10], {}, 'labels of the training set'),
        (
            ['CRDLoss', 6, 10],
            dict(num_samples=9),
            'negatives of other classes',
        ),
        (['CRDLoss'], {}, 'needs student_dim and teacher_dim: give'),
        (['CRDLoss', 6], {}, 'of the student alone'),
        (['CRDLoss', [6], [10]], {}, 'one tensor .N, D., or its width'),
        (['HintLoss', 6, 10], {}, 'a sequence of maps'),
        (['MCLLoss', 6], {}, "sequence of the peers' features"),
        (['MCLLoss'], {}, "needs .*sequence of the peers' features"),
        (
            ['CRDLoss', 6, 10],
            dict(labels=[0, 1], num_samples=9),
            'got 2 labels for 9 samples',
        ),
    ],
)
def test_what_is_wrong_is_said(args, options, message):
    with pytest.raises(ValueError, match=message):
        build_loss(*args, **options)


def test_rows_are_remembered_after_backward():
    loss = build_loss('SEEDLoss', 4, 4, queue_size=6)
    query = torch.randn(2, 4, requires_grad=True)
    value = loss(query, torch.randn(2, 4))
    (queue,) = (m for m in loss.modules() if isinstance(m, FeatureQueue))
    assert len(queue) == 0
    value.backward()
    assert len(queue) == 2
    with torch.no_grad():  # how a queue is filled beforehand
        loss(torch.randn(3, 4), torch.randn(3, 4))
    assert len(queue) == 5
    loss.eval()
    with torch.no_grad():
        loss(torch.randn(1, 4), torch.randn(1, 4))
    assert len(queue) == 5


def test_a_warm_up_by_hand():
    loss = build_loss('FTLoss', [4], [6])
    maps = [torch.randn(2, 4, 4, 4)], [torch.randn(2, 6, 4, 4)]
    loss.phase = Phase.WARMUP
    loss(None, maps[1]).backward()
    assert loss.paraphraser[0].weight.grad is not None
    loss.zero_grad()
    loss.phase = Phase.MAIN
    loss(*maps).backward()
    assert loss.paraphraser[0].weight.grad is None
    assert loss.translator[0].weight.grad is not None


def test_mixed_precision_with_a_scaler():
    """The bank moves once a step, and float32 is seen to inside."""
    loss = build_loss('CRDLoss', 6, 10, labels=[0, 1] * 4, num_negatives=4)
    (bank, _) = (m for m in loss.modules() if isinstance(m, InstanceBank))
    before = bank.features.clone()
    layer = nn.Linear(6, 6)
    scaler = torch.amp.GradScaler('cpu')
    with torch.autocast('cpu', torch.bfloat16):
        feature = layer(torch.randn(2, 6))
        value = loss(
            feature,
            torch.randn(2, 10).bfloat16(),
            torch.arange(2),
            torch.tensor([0, 1]),
        )
    assert feature.dtype == torch.bfloat16 and value.dtype == torch.float32
    scaler.scale(value).backward()
    moved = (bank.features != before).any(1)
    assert moved.tolist() == [True] * 2 + [False] * 6


def test_what_is_public():
    assert set(public.__all__) == {'build_loss', *losses.__all__}
    assert all(hasattr(public, name) for name in public.__all__)


def test_importing_is_cheap():
    """Neither datasets nor networks of MMPretrain, nor those of ours."""
    code = (
        'import sys, mmdistill.losses\n'
        "print([m for m in ('mmpretrain.datasets', 'mmpretrain.models', "
        "'mmdistill.models.distillers', 'mmdistill.datasets', 'timm') "
        'if m in sys.modules])'
    )
    out = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out.splitlines()[-1] == '[]'
