"""A few-shot model alone, as a distiller's student, and as its teacher."""

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny_classifier
from mmpretrain.structures import DataSample

from mmdistill.models import (
    OfflineDistiller,
    OnlineDistiller,
    PrototypicalLoss,
    RepresentationReader,
    RKDLoss,
)
from mmdistill.registry import MODELS
from mmdistill.structures import BatchedSamples

WAY, SHOT, QUERY = 3, 2, 2


def network(head=True, **kwargs):
    cfg = tiny_classifier()
    if not head:
        cfg.pop('head')
    cfg.update(
        type='PrototypicalNetwork', episode=dict(shot=SHOT, query=QUERY)
    )
    return cfg | kwargs


def batch(batched=False, labels=True):
    """One episode of three classes, as a dataloader gives it."""
    classes = torch.tensor([7, 0, 4])
    label = torch.cat([classes.repeat_interleave(n) for n in (SHOT, QUERY)])
    images = torch.rand(
        len(label), 1, 8, 8, generator=torch.Generator().manual_seed(0)
    )
    if batched:
        samples = BatchedSamples(
            torch.arange(len(label)), label if labels else None
        )
    else:
        samples = [DataSample() for _ in label]
        if labels:
            for sample, y in zip(samples, label, strict=True):
                sample.set_gt_label(int(y))
    return images, samples, label


@pytest.mark.parametrize('batched', [True, False])
@pytest.mark.parametrize('head', [True, False])
def test_losses(head, batched):
    torch.manual_seed(0)
    model = MODELS.build(network(head)).eval()
    images, samples, label = batch(batched)
    losses = model(images, samples, mode='loss')
    (feature,) = model.extract_feat(images)
    expected = PrototypicalLoss(SHOT, QUERY)(feature, label)
    torch.testing.assert_close(losses.pop('episode_loss'), expected)
    if head:
        entropy = F.cross_entropy(model.head.fc(feature), label)
        torch.testing.assert_close(losses.pop('classifier_loss'), entropy)
    assert not losses


def test_weights_come_from_the_config():
    cfg = network()
    cfg['episode']['loss_weight'] = 3.0
    cfg['head']['loss'] = dict(type='CrossEntropyLoss', loss_weight=0.25)
    values = []
    for one in (network(), cfg):
        torch.manual_seed(0)
        losses = MODELS.build(one).eval()(*batch()[:2], mode='loss')
        values.append(list(losses.values()))
    (episode, classifier), weighted = values
    torch.testing.assert_close(weighted, [3 * episode, 0.25 * classifier])


def test_total_is_the_sum():
    model = MODELS.build(network()).eval()
    losses = model(*batch()[:2], mode='loss')
    total, log = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(losses.values()))
    assert list(log) == ['loss', 'episode_loss', 'classifier_loss']


def test_it_is_a_classifier_to_the_reader():
    torch.manual_seed(0)
    model = MODELS.build(network()).eval()
    found = RepresentationReader(model)(batch()[0])
    assert found.feature.shape == (12, 16) and found.logits.shape == (12, 10)
    bare = MODELS.build(network(head=False)).eval()
    assert RepresentationReader(bare)(batch()[0]).logits is None
    # it has no tensor that a plain classifier would not have
    plain = MODELS.build(tiny_classifier())
    assert plain.state_dict().keys() == model.state_dict().keys()


def test_predictions():
    images, samples, _ = batch()
    found = MODELS.build(network()).eval()(images, samples, mode='predict')
    assert found[0].pred_score.shape == (10,)
    bare = MODELS.build(network(head=False)).eval()
    with pytest.raises(ValueError, match='EpisodeValLoop'):
        bare(images, samples, mode='predict')


@pytest.mark.parametrize('batched', [True, False])
def test_no_labels(batched):
    images, samples, _ = batch(batched, labels=False)
    with pytest.raises(ValueError, match='learns from labels'):
        MODELS.build(network())(images, samples, mode='loss')


# In a distiller -------------------------------------------------------------
def distiller(head=True, **kwargs):
    teacher = tiny_classifier(depth=14)
    teacher.pop('head')
    torch.manual_seed(0)
    model = OfflineDistiller(
        network(head),
        teacher,
        data_preprocessor=dict(type='ClsDataPreprocessor'),
        input_size=(1, 8, 8),
        **{'losses': dict(rkd=dict(type='RKDLoss')), **kwargs},
    )
    return model.eval()


@pytest.mark.parametrize('batched', [True, False])
@pytest.mark.parametrize('head', [True, False])
def test_the_task_is_what_the_student_learns_alone(head, batched):
    model = distiller(head, task_weight=0.5)
    images, samples, _ = batch(batched)
    losses = model(images, samples, mode='loss')
    alone = model.student(images, samples, mode='loss')
    assert set(losses) == {'task', 'rkd'}
    torch.testing.assert_close(losses['task'], 0.5 * sum(alone.values()))
    losses['task'].backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize('angle_weight', [0.0, 50.0], ids=['RKD-D', 'RKD-DA'])
def test_relational_distillation_of_features(angle_weight):
    cfg = dict(type='RKDLoss', angle_weight=angle_weight)
    model = distiller(False, losses=dict(rkd=cfg))
    images, samples, _ = batch()
    got = model(images, samples, mode='loss')['rkd']
    (student,) = model.student.extract_feat(images)
    (teacher,) = model.teacher.extract_feat(images)
    expected = RKDLoss(25.0, angle_weight)(student, teacher.detach())
    torch.testing.assert_close(got, expected)


def test_a_trained_network_becomes_the_teacher(tmp_path):
    trained = MODELS.build(network(head=False))
    path = tmp_path / 'student.pth'
    torch.save(dict(state_dict=trained.state_dict()), path)
    teacher = tiny_classifier()
    teacher.pop('head')
    model = OfflineDistiller(
        network(head=False),
        teacher,
        losses=dict(rkd=dict(type='RKDLoss')),
        teacher_ckpt=str(path),
        input_size=(1, 8, 8),
    )
    for name, value in trained.state_dict().items():
        assert torch.equal(model.teacher.state_dict()[name], value)


@pytest.mark.parametrize('mode', [dict(), dict(mode='branch', cut=1)])
def test_as_peers(mode):
    """Of online distillation, whose losses need the auxiliary classifier."""
    torch.manual_seed(0)
    ensemble = dict(type='EnsembleKDLoss', temperature=4.0)
    model = OnlineDistiller(
        network(),
        num_peers=3,
        losses=dict(ensemble=ensemble),
        data_preprocessor=dict(type='ClsDataPreprocessor'),
        input_size=(1, 8, 8),
        **mode,
    ).eval()
    images, samples, label = batch()
    losses = model(images, samples, mode='loss')
    assert set(losses) == {'task', 'ensemble'}
    peers, _ = model.group.read(images)
    loss = PrototypicalLoss(SHOT, QUERY)
    expected = sum(
        loss(peer.feature, label) + F.cross_entropy(peer.logits, label)
        for peer in peers
    )
    torch.testing.assert_close(losses['task'], expected)
    with pytest.raises(ValueError, match='head'):
        OnlineDistiller(network(head=False), input_size=(1, 8, 8))


def test_another_student_still_needs_a_head():
    student = tiny_classifier()
    student.pop('head')
    with pytest.raises(ValueError, match='must be a ClsHead'):
        OfflineDistiller(
            student,
            tiny_classifier(),
            losses=dict(rkd=dict(type='RKDLoss')),
            input_size=(1, 8, 8),
        )
