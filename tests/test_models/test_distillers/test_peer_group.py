"""Networks that learn together, or branches of one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers import digits_batch, losses_of, tiny_classifier
from online_distiller import BRANCH, EVERY, MCL, build, images, networks


def test_batch_norm_of_shared_stages_sees_a_batch_once():
    model = build(**BRANCH).train()
    norm = model.student.backbone.bn1
    losses_of(model, digits_batch())
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize('shared_gradient', ['sum', 'mean'])
def test_gradient_of_shared_stages(shared_gradient):
    """The sum, or the mean, over complete networks run one by one."""
    model = build(**BRANCH, shared_gradient=shared_gradient).eval()
    x, label = images(), torch.arange(8)
    peers, _ = model.group.read(x)
    sum(F.cross_entropy(peer.logits, label) for peer in peers).backward()
    alone = networks(model)
    alone[-1] = copy.deepcopy(model.student)
    for network in alone:
        network.zero_grad()
        F.cross_entropy(network(x), label).backward()
    for i, (name, p) in enumerate(model.student.named_parameters()):
        grads = [list(n.parameters())[i].grad for n in alone]
        shared = name.startswith('backbone') and not name.startswith(
            ('backbone.layer2', 'backbone.layer3')
        )
        expected = sum(grads) if shared else grads[-1]
        if shared and shared_gradient == 'mean':
            expected = expected / 3
        torch.testing.assert_close(p.grad, expected, rtol=1e-4, atol=1e-6)
    for peer, network in zip(model.peers, alone, strict=False):
        wanted = dict(network.named_parameters())
        for name, p in peer.named_parameters():
            torch.testing.assert_close(p.grad, wanted[name].grad)


def test_different_networks():
    peers = [tiny_classifier(depth=14, widths=(4, 4, 8, 12))]
    losses = dict(dml=dict(type='DMLLoss'), mcl=MCL, one=EVERY['one'])
    model = build(num_peers=None, peers=peers, losses=losses)
    assert [e.in_features for e in model.losses.mcl.embeds] == [12, 16]
    assert model.losses.one.gate[0].in_features == 28
    sum(losses_of(model, digits_batch()).values()).backward()
    assert all(p.grad is not None for p in model.parameters())
