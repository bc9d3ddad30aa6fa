"""A detector on digits: distilled backbone, training, test and pictures."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdistill.datasets import make_digits_canvas
from mmdistill.registry import MODELS

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
    with pytest.raises(ValueError, match='TransferVisualizationHook'):
        main(
            'test', CONFIG, checkpoint, '--show-dir', 'found',
            '--cfg-options', 'default_hooks.visualization=None',
        )  # fmt: skip
