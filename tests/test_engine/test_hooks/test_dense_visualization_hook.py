"""What is drawn, where, and what it is called."""

from types import SimpleNamespace

import pytest
import torch
from annotation_files import predicted
from mmengine.structures import InstanceData, PixelData
from torchvision.io import decode_image

from mmdistill.registry import HOOKS
from mmdistill.utils.palette import class_colors

CLASSES = ('cat', 'dog', 'cow')

IMAGE = torch.full((3, 40, 60), 100, dtype=torch.uint8)


class Visualizer:
    def __init__(self):
        self.added, self.windows = [], []

    def add_image(self, name, image, step):
        self.added.append((name, image.shape, step))

    def show(self, image, name, wait_time):
        self.windows.append((name, image.shape, wait_time))


def runner(classes=CLASSES):
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    loader = SimpleNamespace(dataset=dataset, batch_size=2)
    return SimpleNamespace(
        test_dataloader=loader,
        val_dataloader=loader,
        visualizer=Visualizer(),
        iter=7,
    )


def draw(samples, classes=CLASSES, stage='test', **kwargs):
    hook = HOOKS.build(
        dict(type='DenseVisualizationHook', enable=True) | kwargs
    )
    used = runner(classes)
    batch = dict(inputs=[IMAGE] * len(samples), data_samples=samples)
    getattr(hook, f'after_{stage}_iter')(used, 0, batch, samples)
    return used.visualizer


def detections(scores=(0.9, 0.3)):
    boxes = [[5, 15, 20, 35], [30, 10, 50, 30]]
    return predicted('a', boxes, scores, [1, 2], img_path='x/pic.jpg')


def test_sure_boxes_in_the_colour_of_their_class(tmp_path):
    draw([detections()], out_dir=str(tmp_path / 'new'), score_thr=0.5)
    picture = decode_image(str(tmp_path / 'new' / 'pic.png'))
    colour = torch.from_numpy(class_colors(4)[2])
    assert torch.equal(picture[:, 35, 10], colour)
    assert (picture[:, 30, 25:] == 100).all()  # below the text
    draw([detections()], out_dir=str(tmp_path), score_thr=0.2)
    both = decode_image(str(tmp_path / 'pic.png'))
    assert torch.equal(both[:, 30, 40], torch.from_numpy(class_colors(4)[3]))


def test_masks_are_blended(tmp_path):
    sample = detections()
    masks = torch.zeros(2, 40, 60, dtype=torch.bool)
    masks[0, 20:30, 8:18] = True
    sample.pred_instances.masks = masks
    draw([sample], out_dir=str(tmp_path), alpha=0.25)
    picture = decode_image(str(tmp_path / 'pic.png')).float()
    blend = 0.75 * 100 + 0.25 * torch.from_numpy(class_colors(3)[2]).float()
    # a corner that the label does not reach
    assert (picture[:, 29, 17] - blend).abs().max() <= 1


@pytest.mark.parametrize('classes', [CLASSES, ('background', 'dog', 'cow')])
def test_maps_leave_background_and_void_as_they_are(tmp_path, classes):
    sample = predicted(img_path='map.png')
    data = torch.zeros(1, 40, 60, dtype=torch.int64)
    data[0, :, 20:] = 1
    data[0, :, 40:] = 255
    sample.pred_sem_seg = PixelData(data=data)
    del sample.pred_instances
    draw([sample], classes, out_dir=str(tmp_path))
    picture = decode_image(str(tmp_path / 'map.png'))
    assert (picture[:, :, 40:] == 100).all()
    assert (picture[:, :, 20:40] != 100).any()
    assert (picture[:, :, :20] == 100).all() == (classes[0] == 'background')


def test_ground_truth_stands_on_the_left(tmp_path):
    sample = predicted(img_path='x.png')
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[5.0, 5.0, 50.0, 35.0]]), labels=torch.tensor([0])
    )
    draw([sample], out_dir=str(tmp_path), draw_gt=True)
    picture = decode_image(str(tmp_path / 'x.png'))
    assert picture.shape == (3, 40, 120)
    assert (picture[:, :, :60] != 100).any()
    assert torch.equal(picture[:, :, 60:], IMAGE)


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_windows_and_backends(stage):
    used = draw([detections(), detections()], stage=stage)
    assert used.added == [('pic', (40, 60, 3), 7)] * 2
    used = draw([detections()], stage=stage, show=True, wait_time=3)
    assert used.windows == [('pic', (40, 60, 3), 3)] and not used.added
    used = draw([detections()], stage=stage, enable=False)
    assert not used.added and not used.windows
