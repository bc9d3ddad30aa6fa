"""The contract of a loss, by losses that say as little as they can."""

import warnings

import pytest
import torch
from helpers import tiny_classifier
from torch import Tensor, nn

from mmdistill.models.distillers import OfflineDistiller
from mmdistill.models.losses import DistillLoss, PeerLoss, Phase, Shapes
from mmdistill.models.losses.distill_loss import as_distill_loss
from mmdistill.models.memories import FeatureQueue, InstanceBank


class Seen(DistillLoss):
    """Keeps what its forward is given."""

    level = 'feature'

    def forward(self, student, target, **fields):
        self.seen = student, target, fields
        self.product = student @ student.t()
        return self.loss_weight * (student - target).square().mean()


def test_what_a_loss_does_not_say():
    loss = Seen(loss_weight=2.0)
    assert loss.requires == () and loss.further_targets == {}
    assert (loss.compares, loss.target) == ('target', None)
    assert (loss.maps, loss.pre_activation) == ('stages', False)
    assert (loss.multi_view, loss.min_batch) == (False, 1)
    assert loss.phases == (Phase.MAIN,) and loss.phase is Phase.MAIN
    assert loss.reads_student()
    assert Seen.infer(Shapes(3), Shapes(channels=(4, 5))) == {}
    assert repr(loss) == 'Seen(loss_weight=2.0)'
    assert PeerLoss.compares == 'peers'
    assert Phase('warmup') is Phase.WARMUP and Phase('main') is Phase.MAIN


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=str)
def test_forward_sees_float32_outside_of_autocast(dtype):
    """Of tensors, and of those in lists and tuples."""
    loss = Seen()
    student = torch.randn(4, 3).to(dtype).requires_grad_()
    fields = dict(
        label=torch.arange(4),
        shared=torch.ones(4, dtype=dtype),
        features=[torch.ones(4, dtype=dtype)],
    )
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(student, torch.zeros(4, 3, dtype=dtype), **fields)
        assert torch.is_autocast_enabled('cpu')
    seen, target, given = loss.seen
    assert {x.dtype for x in (seen, target, given['shared'])} == {
        torch.float32
    }
    assert given['features'][0].dtype == torch.float32
    assert given['label'].dtype == torch.int64
    assert loss.product.dtype == value.dtype == torch.float32
    value.backward()
    assert student.grad.dtype == dtype
    torch.testing.assert_close(student.grad, student.detach() / 6)


def test_float64_stays_float64():
    loss = Seen()
    student = torch.randn(4, 3, dtype=torch.float64)
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(student, torch.zeros_like(student))
    assert loss.product.dtype == value.dtype == torch.float64


def test_hooks_of_a_loss_see_its_forward():
    loss, values = Seen(), []
    loss.register_forward_hook(lambda *seen: values.append(seen[2]))
    value = loss(torch.ones(2, 3), torch.zeros(2, 3))
    assert values == [value] == [1]


# New rows of memories -------------------------------------------------------
class Remembers(DistillLoss):
    level = 'feature'

    def __init__(self):
        super().__init__()
        self.queue = FeatureQueue(8, 3)

    def forward(self, student: Tensor, target: Tensor) -> Tensor:
        loss = (student @ self.queue.features.t()).square().sum()
        loss = loss + (student - target).square().mean()
        self.after_backward(loss, lambda: self.queue.enqueue(target))
        return loss


def rows(seed: int = 0) -> Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))


def test_rows_come_after_the_backward_pass():
    loss = Remembers()
    for step in range(3):
        student = rows(step).requires_grad_()
        value = loss(student, rows(10 + step))
        assert len(loss.queue) == 2 * step  # the graph holds the old ones
        (2 * value).backward()
        assert len(loss.queue) == 2 * (step + 1)
    expected = torch.cat([rows(10 + step) for step in range(3)])
    assert torch.equal(loss.queue.ordered(), expected)


def test_rows_of_accumulated_gradients_come_once_each():
    loss = Remembers()
    student = rows().requires_grad_()
    values = [loss(student, rows(10 + i)) for i in range(2)]
    assert len(loss.queue) == 0
    sum(values).backward()
    assert len(loss.queue) == 4


def test_without_a_graph_rows_come_at_once():
    """As when `QueueHook` fills queues before the first step."""
    loss = Remembers()
    with torch.no_grad():
        loss(rows(), rows(1))
    assert torch.equal(loss.queue.features, rows(1))


def test_a_student_without_gradient_gives_no_rows():
    """A step that trains nothing is none."""
    loss = Remembers()
    loss(rows(), rows(1))
    assert len(loss.queue) == 0


def test_memories_rest_in_eval_mode():
    loss = Remembers().eval()
    loss(rows().requires_grad_(), rows(1)).backward()
    with torch.no_grad():
        loss(rows(), rows(1))
    assert len(loss.queue) == 0


# The training set -----------------------------------------------------------
class Banked(DistillLoss):
    level = 'feature'
    requires = ('label',)

    def __init__(self):
        super().__init__()
        self.banks = nn.ModuleList(InstanceBank(dim=3) for _ in range(2))


def test_every_bank_takes_the_size_of_the_training_set():
    loss = Banked()
    labels = torch.tensor([0, -1, 1, 1])
    loss.set_training_set(4, labels)
    for bank in loss.banks:
        assert len(bank) == 4 and torch.equal(bank.labels, labels)


@pytest.mark.parametrize('labels', [None, torch.full((4,), -1)])
def test_a_training_set_without_the_labels_it_requires(labels):
    with pytest.raises(ValueError, match='needs labels.*exclude_class=False'):
        Banked().set_training_set(4, labels)
    free = Banked()
    free.requires = ()
    free.set_training_set(4, labels)
    assert [len(bank) for bank in free.banks] == [4, 4]


# The first edition ----------------------------------------------------------
OLD = dict(
    needs=('label', 'sample_idx'),
    views=True,
    min_samples=3,
    stages=(1, 2),
    compares_peers=True,
)

NEW = dict(
    requires=('label', 'sample_idx'),
    multi_view=True,
    min_batch=3,
    phases=(Phase.WARMUP, Phase.MAIN),
    compares='peers',
)

RENAMED = [
    pytest.param(old, new, id=old) for old, new in zip(OLD, NEW, strict=True)
]


@pytest.mark.parametrize(('old', 'new'), RENAMED)
def test_attributes_of_the_first_edition(old, new):
    said = rf'Mine\.{old} is {new} now; see UPGRADING.md'
    with pytest.warns(DeprecationWarning, match=said) as caught:
        mine = type('Mine', (Seen,), {old: OLD[old]})
    assert len(caught) == 1
    assert getattr(mine, new) == NEW[new] != getattr(Seen, new)
    assert not hasattr(mine, old)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        child = type('Child', (mine,), {})  # said once
    assert getattr(child, new) == NEW[new]


def test_one_phase_and_no_peers_of_the_first_edition():
    with pytest.warns(DeprecationWarning):
        first = type('First', (Seen,), dict(stages=(1,)))
        second = type('Second', (Seen,), dict(stages=(2,)))
        single = type('Single', (Seen,), dict(compares_peers=False))
    assert first.phases == (Phase.WARMUP,)
    assert second.phases == (Phase.MAIN,)
    assert single.compares == 'target'


# A loss that is no DistillLoss ----------------------------------------------
class Plain(nn.Module):
    """As little as a loss can be."""

    level = 'feature'

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, student, target):
        assert not torch.is_autocast_enabled('cpu')
        return self.scale * (student - target).square().mean()


def test_a_plain_module_gets_the_whole_contract():
    whole = as_distill_loss(Plain)
    assert issubclass(whole, Plain) and issubclass(whole, DistillLoss)
    assert whole.__name__ == 'Plain' and whole.__module__ == __name__
    assert as_distill_loss(Plain) is whole
    assert as_distill_loss(whole) is whole and as_distill_loss(Seen) is Seen
    assert issubclass(as_distill_loss(Plain, PeerLoss), PeerLoss)
    loss = whole(scale=3.0)
    assert loss.requires == () and loss.phases == (Phase.MAIN,)
    assert whole.infer(Shapes(3), Shapes(3)) == {}
    half = torch.ones(2, 3, dtype=torch.bfloat16)
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(half, torch.zeros_like(half))
    assert value == 3 and value.dtype == torch.float32
    assert set(loss.state_dict()) == {'scale'}


def test_a_built_plain_module_becomes_a_loss():
    """With what its own constructor gave it, and nothing else."""
    built = Plain(scale=2.0)
    model = OfflineDistiller(
        tiny_classifier(),
        tiny_classifier(),
        dict(mine=built),
        input_size=(1, 8, 8),
    )
    assert model.losses.mine is built and isinstance(built, DistillLoss)
    assert '(mine): Plain(loss_weight=1.0)' in repr(model)
    assert built(torch.ones(2, 3), torch.zeros(2, 3)) == 2


@pytest.mark.parametrize(('old', 'new'), RENAMED)
def test_a_plain_module_of_the_first_edition(old, new):
    """There, subclassing was optional."""
    mine = type('Mine', (Plain,), {old: OLD[old]})
    with pytest.warns(DeprecationWarning, match=rf'Mine\.{old} is {new} now'):
        whole = as_distill_loss(mine)
    assert getattr(whole, new) == NEW[new]
