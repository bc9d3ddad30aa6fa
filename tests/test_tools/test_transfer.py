"""A detector on digits: distilled backbone, training, test and pictures."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.checkpoints import load_file
from mmdistill.datasets import make_digits_canvas
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/transfer_digits'
CONFIG = CONFIGS / 'faster_rcnn_distilled.py'
WORK_DIR = 'work_dirs/detector'
OPTIONS = (
    '--cfg-options', 'train_dataloader.batch_size=2', 'train_cfg.max_iters=3',
    'train_cfg.val_interval=3', 'default_hooks.logger.interval=1',
)  # fmt: skip


@pytest.fixture(scope='module')
def folder(toy):
    """The toy's folder, with a few canvases and a student to start from."""
    make_digits_canvas(toy.folder / 'data/digits_canvas', 4, 4)
    student = Config.fromfile(CONFIGS / 'student.py').model.student
    path = toy.folder / 'work_dirs/transfer_digits/student/student.pth'
    path.parent.mkdir(parents=True)
    torch.manual_seed(7)
    torch.save(dict(state_dict=MODELS.build(student).state_dict()), path)
    return toy.folder


def test_train_then_test(folder, main):
    main('train', CONFIG, '--work-dir', WORK_DIR, *OPTIONS)
    logs = folder / WORK_DIR
    log = max(logs.glob('*/*.log')).read_text()
    count = len(
        MODELS.build(
            Config.fromfile(CONFIG).model.backbone.to_dict()
        ).state_dict()
    )
    assert f'loaded {count} of {count} tensors of the backbone' in log
    scalars = max(logs.glob('*/vis_data/scalars.json')).read_text()
    rows = [json.loads(line) for line in scalars.splitlines()]
    assert [row['loss'] > 0 for row in rows if 'loss' in row] == [True] * 3
    trained = [row for row in rows if 'coco/bbox_AP50' in row][-1]
    assert [*logs.glob('*/vis_data/events.out.tfevents.*')]  # TensorBoard's
    report = (logs / 'report.html').read_text()
    assert 'coco/bbox_AP50' in report and 'Parameters alone' in report
    assert 'is not there' not in report

    main(
        'test', CONFIG, logs / 'student.pth', '--work-dir', WORK_DIR,
        '--show-dir', 'found', '--out', 'found.json', '--out-item', 'metrics',
    )  # fmt: skip
    metrics = json.loads((folder / 'found.json').read_text())
    for name in ('coco/bbox_AP', 'coco/bbox_AP50'):
        assert metrics[name] == pytest.approx(trained[name])
    names = sorted(path.name for path in (folder / 'found').iterdir())
    assert names == [f'val_{i:06d}.png' for i in range(4)]


def test_tta_is_for_classifiers(folder, main):
    checkpoint = folder / 'work_dirs/transfer_digits/student/student.pth'
    with pytest.raises(ValueError, match='class scores .* FasterRCNN'):
        main('test', CONFIG, checkpoint, '--tta')


def test_pictures_need_a_hook(folder, main):
    checkpoint = folder / 'work_dirs/transfer_digits/student/student.pth'
    with pytest.raises(ValueError, match='DenseVisualizationHook'):
        main(
            'test', CONFIG, checkpoint, '--show-dir', 'found',
            '--cfg-options', 'default_hooks.visualization=None',
        )  # fmt: skip


def predictions(model, dataset):
    """Every tensor that a model answers for the images of a dataset."""
    found = []
    for i in range(len(dataset)):
        item = dataset[i]
        data = {key: [value] for key, value in item.items()}
        with torch.no_grad():
            answer = model.eval().test_step(data)[0]
        if 'pred_instances' in answer:
            found += list(answer.pred_instances.to_dict().values())
        else:
            found.append(answer.pred_sem_seg.data)
    return found


@pytest.mark.parametrize('name', ['faster_rcnn_distilled', 'fcn_distilled'])
def test_the_file_alone_answers_as_the_run_did(folder, main, name):
    """Network, preprocessor and pipeline are the file's own."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.merge_from_dict(
        {
            'work_dir': f'work_dirs/alone_{name}',
            'train_dataloader.batch_size': 2,
            'train_cfg.max_iters': 2,
            'train_cfg.val_interval': 2,
        }
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    path = Path(cfg.work_dir, 'student.pth')
    file = load_file(path)
    own = Config.fromstring(file['meta']['cfg'], '.py')
    alone = MODELS.build(own.model)
    alone.load_state_dict(file['state_dict'])
    data = cfg.test_dataloader.dataset
    expected = predictions(runner.model, DATASETS.build(data))
    data = {**data, 'pipeline': own.test_dataloader.dataset.pipeline}
    found = predictions(alone, DATASETS.build(data))
    assert len(expected) and any(x.numel() for x in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)

    # and its backbone, for MMDetection
    main('export_student', path, 'backbone.pth', '--format', 'mmdet')
    backbone = MODELS.build(own.model.backbone.to_dict() | dict(init_cfg=None))
    backbone.load_state_dict(load_file('backbone.pth')['state_dict'])
    image = torch.rand(1, 3, 64, 96)
    backbone.eval()
    with torch.no_grad():
        maps = backbone(image), runner.model.eval().backbone(image)
    torch.testing.assert_close(*maps)
