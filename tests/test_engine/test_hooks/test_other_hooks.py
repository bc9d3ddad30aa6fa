"""Queue, teacher check, export and model hooks in real runs."""

import copy
import json
import subprocess
import sys

import pytest
import torch
from helpers import digits_config, tiny_classifier
from mmengine.config import Config

from mmdistill.checkpoints import load_file
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, MODELS

NCE = dict(nce=dict(type='InfoNCELoss', level='feature', queue_size=64))
CRD = dict(crd=dict(type='CRDLoss', num_negatives=16, embed_dim=8))


def with_queue(work_dir, **hook):
    return digits_config(
        work_dir,
        NCE,
        default_hooks=dict(queue=dict(type='QueueHook', **hook)),
        **{
            'model.teacher.backbone.widths': (4, 4, 8, 16),
            'model.teacher.head.in_channels': 16,
        },
    )


class Stop(Exception):
    pass


def stop_at_first_step(runner):
    """Let a run come as far as its first step, and stop it there."""
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        raise Stop

    runner.model.train_step = train_step
    with pytest.raises(Stop):
        runner.train()
    runner.model.train_step = original


# QueueHook ------------------------------------------------------------------
def test_prefill(tmp_path):
    runner = DistillRunner.from_cfg(with_queue(tmp_path, prefill=48))
    before = copy.deepcopy(runner.model.student.state_dict())
    stop_at_first_step(runner)
    queue = runner.model.losses.nce.queue
    assert len(queue) == 64  # whole batches of 32
    norms = queue.features.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(64))
    assert len(queue.features.unique(dim=0)) == 64
    assert before.keys() == runner.model.student.state_dict().keys()
    for key, value in runner.model.student.state_dict().items():
        if 'running' in key:
            assert torch.equal(value, before[key])  # the student only looked


def test_prefill_is_part_of_no_stream(tmp_path):
    """The first batch is the same with and without prefilling."""
    seen = []
    for prefill in (0, 64):
        runner = DistillRunner.from_cfg(with_queue(tmp_path, prefill=prefill))
        model = runner.model

        def train_step(data, optim_wrapper):
            seen.append((torch.stack(data['inputs']), torch.rand(1)))
            raise Stop

        model.train_step = train_step
        with pytest.raises(Stop):
            runner.train()
    assert torch.equal(seen[0][0], seen[1][0])


def test_start_epoch(tmp_path):
    runner = DistillRunner.from_cfg(with_queue(tmp_path, start_epoch=1))
    lengths = []
    original = runner.model.train_step

    def train_step(*args, **kwargs):
        lengths.append(len(runner.model.losses.nce.queue))
        return original(*args, **kwargs)

    runner.model.train_step = train_step
    runner.train()
    assert lengths == [0, 0, 0, 0, 32, 64]


def test_queue_larger_than_the_dataset(tmp_path):
    cfg = with_queue(tmp_path)
    cfg.model.losses.nce.queue_size = 97
    with pytest.raises(ValueError, match='losses.nce.queue keeps 97 rows'):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize('prefill, message', [(65, 'size 64'), (97, 'keeps')])
def test_prefill_too_large(tmp_path, prefill, message):
    cfg = with_queue(tmp_path, prefill=prefill)
    if prefill == 97:
        cfg.model.losses.nce.queue_size = 200
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(cfg).train()


@pytest.mark.parametrize(
    'hook, message',
    [(dict(start_epoch=1), 'train by epochs'),
     (dict(start_epoch=1, prefill=8), 'not both')])  # fmt: skip
def test_queue_that_would_never_work(tmp_path, hook, message):
    with pytest.raises(ValueError, match=message):
        cfg = with_queue(tmp_path, **hook)
        cfg.train_cfg = dict(by_epoch=False, max_iters=2)
        DistillRunner.from_cfg(cfg).train()


def test_resume_with_nothing_to_resume_from_is_a_fresh_start(tmp_path):
    cfg = with_queue(tmp_path, prefill=48)
    cfg.resume = True
    runner = DistillRunner.from_cfg(cfg)
    stop_at_first_step(runner)
    assert len(runner.model.losses.nce.queue) == 64


def test_queue_hook_without_a_queue(tmp_path):
    hook = dict(queue=dict(type='QueueHook'))
    cfg = digits_config(tmp_path, default_hooks=hook)
    with pytest.raises(ValueError, match='default_hooks.queue=None'):
        DistillRunner.from_cfg(cfg).train()


# TeacherCheckHook -----------------------------------------------------------
def teacher_check(tmp_path, min_accuracy, **kwargs):
    hook = dict(type='TeacherCheckHook', min_accuracy=min_accuracy)
    return digits_config(tmp_path, custom_hooks=[hook], **kwargs)


def test_teacher_is_evaluated_and_logged(tmp_path):
    runner = DistillRunner.from_cfg(teacher_check(tmp_path, 0.0))
    stop_at_first_step(runner)
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    (record,) = map(json.loads, scalars.read_text().splitlines())
    teacher, loader = runner.model.teacher, runner.val_dataloader
    right = total = 0
    for batch in loader:
        data = runner.model.data_preprocessor(batch, False)
        answer = teacher(data['inputs']).argmax(1)
        label = torch.cat([s.gt_label for s in data['data_samples']])
        right += int((answer == label).sum())
        total += len(label)
    assert total == 100
    assert record['teacher/accuracy/top1'] == pytest.approx(
        100 * right / total
    )


def test_bad_teacher_stops_the_run(tmp_path):
    with pytest.raises(RuntimeError, match='below min_accuracy=90.*lower'):
        DistillRunner.from_cfg(teacher_check(tmp_path, 90)).train()


def test_a_bad_teacher_of_several_is_called_by_its_keys(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    network = cfg.model.pop('teacher')
    cfg.model.teachers = dict(good=dict(model=network))
    cfg.model.losses.kd.target = 'good'
    with pytest.raises(
        RuntimeError,
        match=r'model\.teachers\.good\.ckpt.*teachers\.good\.preprocessor',
    ):
        DistillRunner.from_cfg(cfg).train()


def test_no_validation_set_for_min_accuracy(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='val_dataloader'):
        DistillRunner.from_cfg(cfg).train()


def test_no_teacher(tmp_path):
    cfg = teacher_check(tmp_path, 90)
    cfg.model = tiny_classifier()
    with pytest.raises(ValueError, match='frozen teacher'):
        DistillRunner.from_cfg(cfg).train()
    cfg.custom_hooks = [dict(type='TeacherCheckHook')]
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(cfg).train()


# ExportStudentHook ----------------------------------------------------------
def exported(tmp_path, **kwargs):
    cfg = digits_config(
        tmp_path, custom_hooks=[dict(type='ExportStudentHook')], **kwargs
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    return runner


def test_exports_at_the_end_and_at_the_best(tmp_path):
    runner = exported(tmp_path)
    final = load_file(tmp_path / 'student.pth')
    state = runner.model.student.state_dict()
    assert final['state_dict'].keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(final['state_dict'][key], value)
    best = load_file(tmp_path / 'student_best.pth')
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    scores = [
        record['accuracy/top1']
        for record in map(json.loads, scalars.read_text().splitlines())
        if 'accuracy/top1' in record
    ]
    assert best['meta']['score'] == pytest.approx(max(scores))
    assert not list(tmp_path.glob('*.tmp*'))

    # the file alone builds the student again
    cfg = Config.fromstring(final['meta']['cfg'], '.py')
    assert cfg.default_scope == 'mmdistill'
    student = MODELS.build(cfg.model).eval()
    student.load_state_dict(final['state_dict'])
    images = torch.rand(4, 1, 8, 8)
    expected = runner.model.eval()(images)
    torch.testing.assert_close(student(images), expected)


def test_resumed_run_keeps_the_better_file(tmp_path):
    exported(tmp_path)
    path = tmp_path / 'student_best.pth'
    best = load_file(path)
    best['meta']['score'] = 100.5  # better than anything to come
    torch.save(best, path)
    exported(tmp_path, **{'resume': True, 'train_cfg.max_epochs': 3})
    assert load_file(path)['meta']['score'] == 100.5
    exported(tmp_path)  # a fresh run in an old folder starts anew
    assert load_file(path)['meta']['score'] <= 100


def test_mmpretrain_student_needs_mmpretrain_alone(tmp_path):
    student = dict(
        type='ImageClassifier',
        backbone=dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=1280),
    )
    cfg = digits_config(
        tmp_path, custom_hooks=[dict(type='ExportStudentHook')]
    )
    cfg.model.student = student
    cfg.model.teacher.backbone.in_channels = 3
    cfg.model.input_size = (3, 32, 32)
    to_rgb = dict(type='Resize', scale=32)
    for loader in (cfg.train_dataloader, cfg.val_dataloader,
                   cfg.test_dataloader):  # fmt: skip
        loader.dataset.type = 'ColourDigits'
        loader.dataset.pipeline = [to_rgb, dict(type='PackInputs')]
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(cfg).train()

    code = f"""
import sys, torch
from mmpretrain.apis import ImageClassificationInferencer
from mmengine.config import Config
ckpt = torch.load({str(tmp_path / 'student.pth')!r}, weights_only=True)
cfg = Config.fromstring(ckpt['meta']['cfg'], '.py')
assert cfg.default_scope == 'mmpretrain'
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
register_all_modules()
model = MODELS.build(cfg.model)
print(model.load_state_dict(ckpt['state_dict']))
assert not any(name.startswith('mmdistill') for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'All keys matched' in done.stdout


@DATASETS.register_module()
class ColourDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return [
            info | dict(img=info['img'].repeat(3, 2))
            for info in super().load_data_list()
        ]


def test_unknown_metric(tmp_path):
    hook = dict(type='ExportStudentHook', metric='accuracy/top5')
    cfg = digits_config(tmp_path, custom_hooks=[hook])
    with pytest.raises(KeyError, match='accuracy/top1'):
        DistillRunner.from_cfg(cfg).train()


# ModelHook ------------------------------------------------------------------
def test_banks_learn_the_dataset_by_themselves(tmp_path):
    cfg = digits_config(tmp_path, CRD)
    runner = DistillRunner.from_cfg(cfg)
    stop_at_first_step(runner)
    bank = runner.model.losses['crd'].bank_student
    dataset = runner.train_dataloader.dataset
    assert len(bank) == 96
    assert bank.labels.tolist() == dataset.get_gt_labels().tolist()


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset'])
def test_sample_index_is_of_the_outermost_dataset(tmp_path, wrapper):
    cfg = digits_config(tmp_path, CRD)
    inner = cfg.train_dataloader.dataset
    if wrapper == 'ConcatDataset':
        other = copy.deepcopy(inner)
        other.indices = 40
        dataset = dict(type=wrapper, datasets=[inner, other])
    else:
        dataset = dict(type=wrapper, dataset=inner, times=2)
    cfg.train_dataloader.dataset = dataset
    runner = DistillRunner.from_cfg(cfg)
    seen = {}
    original = runner.model.train_step

    def train_step(data, optim_wrapper):
        for sample in data['data_samples']:
            seen[sample.sample_idx] = int(sample.gt_label)
        return original(data, optim_wrapper)

    runner.model.train_step = train_step
    runner.train()
    dataset = runner.train_dataloader.dataset
    assert sorted(seen) == list(range(len(dataset)))
    bank = runner.model.losses['crd'].bank_student
    assert len(bank) == len(dataset) == {
        'ConcatDataset': 136, 'RepeatDataset': 192}[wrapper]  # fmt: skip
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(len(bank))]
    assert (
        labels == bank.labels.tolist() == [seen[i] for i in range(len(bank))]
    )


def test_unlabeled_dataset_for_a_loss_that_needs_labels(tmp_path):
    cfg = digits_config(tmp_path, CRD)
    cfg.train_dataloader.dataset.type = 'UnlabelledDigits'
    cfg.model.task_weight = 0
    with pytest.raises(ValueError, match='losses.crd.*needs labels'):
        DistillRunner.from_cfg(cfg).train()
    cfg.model.losses.crd.exclude_class = False
    DistillRunner.from_cfg(cfg).train()


@DATASETS.register_module()
class UnlabelledDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return [dict(img=i['img']) for i in super().load_data_list()]


def test_empty_dataset(tmp_path):
    cfg = digits_config(tmp_path)
    cfg.train_dataloader.dataset.type = 'NoDigits'
    with pytest.raises(ValueError, match='no sample; .*train_dataloader'):
        DistillRunner.from_cfg(cfg).train()


@DATASETS.register_module()
class NoDigits(DATASETS.get('Digits')):
    def load_data_list(self):
        return []

    def full_init(self):
        self._indices = None
        super().full_init()


def test_last_batch_of_one_is_refused_before_training(tmp_path):
    cfg = digits_config(tmp_path, dict(rkd=dict(type='RKDLoss')))
    cfg.train_dataloader.dataset.indices = 65
    with pytest.raises(ValueError, match='drop_last'):
        DistillRunner.from_cfg(cfg).train()
    cfg.train_dataloader.drop_last = True
    stop_at_first_step(DistillRunner.from_cfg(cfg))


def test_another_teacher_on_resume(tmp_path):
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        teacher = MODELS.build(tiny_classifier(depth=14))
        files.append(str(tmp_path / f'teacher{seed}.pth'))
        torch.save(teacher.state_dict(), files[-1])
    cfg = digits_config(tmp_path, **{'model.teacher_ckpt': files[0]})
    cfg.train_cfg.max_epochs = 1
    DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
    cfg.train_cfg.max_epochs = 2
    cfg.resume = True
    DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
    cfg.train_cfg.max_epochs = 3
    cfg.model.teacher_ckpt = files[1]
    with pytest.raises(ValueError, match='another teacher'):
        DistillRunner.from_cfg(copy.deepcopy(cfg)).train()
