"""Configs, losses and checkpoints of the first edition still work."""

import copy
import shutil

import pytest
import torch
from first_edition.configs import HERE, MODEL, TEACHER_OF, config
from helpers import digits_batch, tiny_classifier
from torch import nn

from mmdistill.engine.hooks import (
    ExportStudentHook,
    FiniteLossHook,
    QueueHook,
    ResumeStateHook,
)
from mmdistill.engine.runner import DistillRunner
from mmdistill.models.distillers import OfflineDistiller
from mmdistill.models.distillers.first_edition import (
    rename_keys,
    reorder_optimizer,
)
from mmdistill.models.losses import DistillLoss, Phase
from mmdistill.models.memories import FeatureQueue
from mmdistill.registry import MODELS

CHECKPOINTS = ['cocord', 'compress', 'dino', 'oss', 'seed']


# Configs --------------------------------------------------------------------
def without(cfg, *keys):
    return {key: value for key, value in cfg.items() if key not in keys}


#: What UPGRADING.md says to write instead.
PRESENT = dict(
    cocord=without(
        MODEL['cocord'],
        'predictor',
        'queue_size',
        'temperature',
        'contrastive_weight',
        'prediction_weight',
    )
    | dict(
        losses=dict(
            contrastive=dict(
                type='InfoNCELoss',
                queue_size=12,
                temperature=0.2,
                loss_weight=0.5,
            ),
            prediction=dict(
                type='PredictionLoss',
                target='slow_student',
                predictor=dict(type='PredictorHead', hidden_dim=3),
                loss_weight=3.0,
            ),
            **MODEL['cocord']['losses'],
        )
    ),
    seed=without(MODEL['seed'], 'memories')
    | dict(losses=dict(seed=dict(type='SEEDLoss', queue_size=12))),
    compress=without(MODEL['compress'], 'memories', 'memory_encoder')
    | dict(
        losses=dict(
            compress=dict(
                type='CompRessLoss', queue_size=12, rows_of='slow_student'
            )
        ),
        slow_student=True,
    ),
)

SAID = dict(
    cocord=[
        'model.queue_size is of the first edition: write '
        'model.losses.contrastive.queue_size',
        'model.temperature',
        'model.contrastive_weight',
        'model.predictor',
        'model.prediction_weight',
    ],
    seed=[
        'model.memories.queue is of the first edition: write '
        'model.losses.seed.queue_size=12'
    ],
    compress=[
        'model.memories.student_queue',
        'model.memories.teacher_queue',
        "model.memory_encoder='slow_student' is of the first edition: write "
        "model.slow_student=True with rows_of='slow_student' in the loss",
    ],
)


def build(cfg):
    torch.manual_seed(0)
    common = dict(
        data_preprocessor=dict(mean=[120.0], std=[60.0]), input_size=(1, 8, 8)
    )
    return MODELS.build(copy.deepcopy({**cfg, **common}))


def two_views(size=8):
    batch = digits_batch(size)
    batch['inputs'] = [batch['inputs'], batch['inputs'].flip(3)]
    return batch


def losses_of(model, batch):
    return model(**model.data_preprocessor(batch, True), mode='loss')


def values_of_three_steps(model):
    model.train()
    values = []
    for _ in range(3):
        step = losses_of(model, two_views())
        sum(step.values()).backward()
        values.append({name: value.item() for name, value in step.items()})
    return values


@pytest.mark.parametrize('name', PRESENT)
def test_an_old_config_means_what_the_present_one_does(name, warned):
    present = build(PRESENT[name])
    assert 'first edition' not in warned()
    old = build(MODEL[name])
    for text in SAID[name]:
        assert text in warned()
    state = present.state_dict()
    assert list(old.state_dict()) == list(state)
    assert all(torch.equal(v, state[k]) for k, v in old.state_dict().items())
    assert values_of_three_steps(old) == values_of_three_steps(present)


OPTIONS = dict(
    contrastive=(dict(cognate_encoder=None), ['contrastive']),
    prediction=(dict(contrastive_encoder=None), ['prediction']),
    swapped=(
        dict(contrastive_encoder='slow_student', cognate_encoder='teacher'),
        ['contrastive', 'prediction'],
    ),
    neither_is_said=({}, ['contrastive', 'prediction']),
)


@pytest.mark.parametrize('name', OPTIONS)
def test_options_of_cocord(name, warned):
    options, names = OPTIONS[name]
    plain = {key: MODEL['cocord'][key] for key in ('type', 'head')}
    pair = dict(
        student=tiny_classifier(), teacher=tiny_classifier(), **options
    )
    model = build({**plain, **pair, 'losses': dict(kd=dict(type='KDLoss'))})
    assert [*model.losses] == [*names, 'kd']
    assert 'of the first edition' in warned()
    expected = dict(
        contrastive=options.get('contrastive_encoder', 'teacher'),
        prediction=options.get('cognate_encoder', 'slow_student'),
    )
    assert {k: model.losses[k].target for k in names} == {
        k: expected[k] for k in names
    }
    if 'contrastive' in names:
        assert model.losses.contrastive.queue.size == 2048
    if 'prediction' in names:
        assert model.losses.prediction.loss_weight == 4.0


WRONG = dict(
    encoders=(
        'cocord',
        dict(contrastive_encoder=None, cognate_encoder=None),
        'not both None',
    ),
    encoder=('cocord', dict(cognate_encoder='student'), "'student'"),
    name=(
        'cocord',
        dict(losses=dict(prediction=dict(type='KDLoss'))),
        "may not be named 'prediction'.*rename",
    ),
    memory=(
        'seed',
        dict(memories=dict(spare=dict(type='FeatureQueue', size=4))),
        "names 'spare', which no loss of .*'seed'.* keeps",
    ),
    memory_encoder=(
        'compress',
        dict(memory_encoder='teacher'),
        "'student' or 'slow_student', got 'teacher'",
    ),
)


@pytest.mark.parametrize('name', WRONG)
def test_wrong_old_configs(name):
    kind, given, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        build({**MODEL[kind], **given})


# Runs -----------------------------------------------------------------------
def test_a_staged_run(tmp_path, capsys):
    runner = DistillRunner.from_cfg(config('ft', tmp_path, epochs=2))
    begun = []
    set_phase = runner.model.set_phase

    def spy(phase):
        kind = type(runner.optim_wrapper.optimizer).__name__
        begun.append((phase, kind))
        set_phase(phase)

    runner.model.set_phase = spy
    runner.train()
    said = capsys.readouterr().out
    assert "'StagedTrainLoop' and first_stage_*" in said
    assert begun == [(Phase.WARMUP, 'Adam'), (Phase.MAIN, 'SGD')]
    assert runner.iter == 4


def test_hooks_among_the_custom_ones(tmp_path, capsys):
    cfg = config('seed', tmp_path, epochs=1)
    cfg.custom_hooks.append(dict(type='FiniteLossHook', interval=2))
    runner = DistillRunner.from_cfg(cfg)
    said = capsys.readouterr().out
    for kind in (
        ResumeStateHook,
        ExportStudentHook,
        FiniteLossHook,
        QueueHook,
    ):
        (hook,) = [h for h in runner.hooks if isinstance(h, kind)]
        if kind is FiniteLossHook:
            assert hook.interval == 2
        if kind is not QueueHook:  # it has no key of its own
            assert f'{kind.__name__} stands in custom_hooks' in said
    runner.train()
    assert (tmp_path / 'student.pth').is_file()


# Checkpoints ----------------------------------------------------------------
@pytest.mark.parametrize('name', CHECKPOINTS)
def test_a_run_resumes(name, tmp_path):
    """Queues, running means and the optimizer's state are where they were."""
    shutil.copy(HERE / f'{name}.pth', tmp_path / 'epoch_1.pth')
    runner = DistillRunner.from_cfg(
        config(name, tmp_path, epochs=2, resume=True)
    )
    model = runner.model
    runner.train()
    assert runner.iter == 4
    expected = torch.load(HERE / f'{name}_next.pth', weights_only=True)
    learned = {k: p for k, p in model.named_parameters() if p.requires_grad}
    sizes = [len(value.flatten()) for value in _in_order(model, expected)]
    values = expected['values'].split(sizes)
    state = dict(zip(expected['names'], values, strict=True))
    rename_keys(model, state, '')
    assert state.keys() == learned.keys()
    for key, value in learned.items():
        # Bit-equal on the CPU that wrote the files; others round otherwise.
        torch.testing.assert_close(
            value.detach().flatten(), state[key], rtol=1e-4, atol=1e-5
        )


def _in_order(model, expected):
    """The parameters that learn, in the first edition's order."""
    marks = {name: torch.tensor(i) for i, name in enumerate(expected['names'])}
    rename_keys(model, marks, '')
    learned = dict(model.named_parameters())
    return [learned[name] for name in sorted(marks, key=marks.get)]


@pytest.mark.parametrize('name', CHECKPOINTS)
def test_weights_load(name):
    checkpoint = torch.load(HERE / f'{name}.pth', weights_only=False)
    state = checkpoint['state_dict']
    cfg = dict(MODEL[name])
    if name in TEACHER_OF:
        cfg['teacher_ckpt'] = str(HERE / f'teacher_{TEACHER_OF[name]}.pth')
    model = build(cfg)
    copies = [k for k in state if k.startswith('momentum_steps')]
    expected = {k: v for k, v in state.items() if k not in copies}
    loaded = model.load_state_dict(expected)
    assert not loaded.missing_keys and not loaded.unexpected_keys
    assert len(model.state_dict()) == len(expected)
    for key in ('memories.dictionary', 'memories.first', 'memories.queue'):
        if f'{key}.storage' in state:
            (queue, *_) = [
                m for m in model.modules() if hasattr(m, 'enqueued')
            ]
            assert torch.equal(queue.storage, state[f'{key}.storage'])
            assert len(queue) == 12
    if name == 'dino':
        center = state['losses.dino.center']
        assert torch.equal(model.losses.dino.center.value, center[0])


def test_an_order_that_settings_of_parameters_depend_on():
    """With paramwise_cfg every parameter is a group of its own."""
    state = torch.load(HERE / 'cocord.pth', weights_only=False)['state_dict']
    groups = [dict(params=[0]), dict(params=[1])]
    with pytest.raises(ValueError, match='paramwise_cfg.*load_from'):
        reorder_optimizer(
            build(MODEL['cocord']), state, dict(param_groups=groups)
        )


# Losses of one's own --------------------------------------------------------
def test_a_plain_loss_with_old_attributes():
    class Labelled(nn.Module):
        level = 'logits'
        needs = ('label',)
        views = True

        def forward(self, student, teacher, label):
            self.seen = label, student
            return (student[0] - teacher[0]).square().mean()

    cfg = dict(
        type='OfflineDistiller',
        student=tiny_classifier(),
        teacher=tiny_classifier(),
        losses=dict(own=Labelled()),
    )
    with pytest.warns(DeprecationWarning, match='Labelled.needs is requires'):
        model = build(cfg)
    losses_of(model, two_views())
    label, student = model.losses.own.seen
    assert label.tolist() == list(range(8))
    assert len(student) == 2


def test_a_plain_loss_among_peers_with_an_old_attribute():
    class Consensus(nn.Module):
        level = 'feature'
        compares_peers = True

        def forward(self, peers):
            stacked = torch.stack(peers)
            return (stacked - stacked.mean(0)).square().mean()

    cfg = dict(
        type='OnlineDistiller',
        student=tiny_classifier(),
        num_peers=2,
        losses=dict(own=Consensus()),
    )
    with pytest.warns(DeprecationWarning, match='Consensus.compares_peers'):
        model = build(cfg)
    assert losses_of(model, digits_batch())['own'] > 0
    model.eval()
    data = model.data_preprocessor(digits_batch(), False)
    (sample, *_) = model(**data, mode='predict')
    assert 'ensemble_scores' not in sample


def test_stages_of_a_loss_are_phases():
    with pytest.warns(DeprecationWarning, match='Two.stages is phases now'):

        class Two(DistillLoss):
            stages = (1, 2)

    assert Two.phases == (Phase.WARMUP, Phase.MAIN)
    assert not hasattr(Two, 'stages')


# Queues ---------------------------------------------------------------------
def queued(losses, **kwargs):
    model = dict(
        type='OfflineDistiller',
        student=tiny_classifier(),
        teacher=tiny_classifier(depth=14, widths=(8, 8, 8, 12)),
        losses=losses,
        task_weight=0,
        data_preprocessor=dict(mean=[120.0], std=[60.0]),
        input_size=(1, 8, 8),
    )
    return MODELS.build({**copy.deepcopy(model), **kwargs})


TWO = ('student_queue', 'teacher_queue')


def compress_losses(size, **kwargs):
    cfg = dict(type='CompRessLoss', level='feature', queue_size=size)
    return dict(compress=cfg | kwargs)


def test_memories_of_the_first_edition(warned):
    """They size the queues of the losses that looked at them."""
    first = dict(
        dict(compress=dict(type='CompRessLoss', level='feature')),
        seed=dict(type='SEEDLoss', level='feature'),
    )
    memories = {
        name: dict(type='FeatureQueue', size=20) for name in (*TWO, 'queue')
    }
    memories['queue']['dtype'] = 'bfloat16'
    wide = dict(teacher=tiny_classifier(depth=14))
    model = queued(
        first, memories=memories, memory_encoder='slow_student', **wide
    )
    for said in (
        'write model.losses.seed.queue_size=20',
        'write model.losses.compress.queue_size=20',
        "write model.slow_student=True with rows_of='slow_student'",
    ):
        assert said in warned()
    second = dict(
        compress_losses(20, rows_of='slow_student'),
        seed=dict(
            type='SEEDLoss',
            level='feature',
            queue_size=20,
            queue_dtype='bfloat16',
        ),
    )
    other = queued(second, slow_student=True, **wide)
    found, expected = (
        {name: (x.shape, x.dtype) for name, x in one.state_dict().items()}
        for one in (model, other)
    )
    assert found == expected

    state = other.state_dict()
    moved = {
        'losses.seed.queue.': 'memories.queue.',
        'losses.compress.student_queue.': 'memories.student_queue.',
        'losses.compress.teacher_queue.': 'memories.teacher_queue.',
    }
    for queue in other.modules():
        if isinstance(queue, FeatureQueue):
            queue.enqueue(torch.randn(8, queue.storage.shape[1]))
    expected = copy.deepcopy(state)
    for new, old in moved.items():
        for key in [key for key in state if key.startswith(new)]:
            state[old + key.removeprefix(new)] = state.pop(key)
    model.load_state_dict(state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert len(model.losses.seed.queue) == 8


def test_bad_memories_of_the_first_edition():
    losses = compress_losses(20)
    with pytest.raises(ValueError, match="slow_student.*got 'key'"):
        queued(losses, memory_encoder='key')
    with pytest.raises(ValueError, match="'negatives'.*queue_size"):
        queued(losses, memories=dict(negatives=dict(size=20)))
    seed = dict(seed=dict(type='SEEDLoss', level='feature', queue_size=20))
    with pytest.raises(ValueError, match=r"\['seed'\] looks at it"):
        queued(
            seed,
            teacher=tiny_classifier(depth=14),
            memory_encoder='slow_student',
        )


def test_a_scheme_of_ones_own_keeps_its_names():
    class Own(OfflineDistiller):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.predictor = nn.Linear(3, 3)
            self.memories = nn.ModuleDict(dict(first=nn.Linear(2, 2)))

    cfg = dict(
        student=tiny_classifier(),
        teacher=tiny_classifier(),
        losses=dict(kd=dict(type='KDLoss')),
        input_size=(1, 8, 8),
    )
    before, after = Own(**copy.deepcopy(cfg)), Own(**cfg)
    after.load_state_dict(before.state_dict())  # none missing, none left
    assert torch.equal(after.predictor.weight, before.predictor.weight)
