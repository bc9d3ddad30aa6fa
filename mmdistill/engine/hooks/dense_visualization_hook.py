from __future__ import annotations

import os
import os.path as osp
from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from mmdistill.registry import HOOKS
from mmdistill.utils.palette import class_colors


# The second is its name of the first edition.
@HOOKS.register_module(
    name=['DenseVisualizationHook', 'TransferVisualizationHook']
)
class DenseVisualizationHook(Hook):
    """Draws boxes, masks or maps of classes on the images of a test.

    ``tools/test.py --show-dir`` and ``--show`` switch it on. Pictures are
    named after the image files, so those of a later validation replace the
    earlier ones; without a folder they go to the visualizer's backends.

    Args:
        enable: whether to draw at all.
        interval: draw every so many images of a process.
        score_thr: least score of the detections that are drawn.
        draw_gt: put the annotated image on the left.
        alpha: opacity of masks and maps.
        out_dir: folder for the pictures.
        show: show each in a window.
        wait_time: seconds that a window stays.
    Config:
        default_hooks=dict(
            visualization=dict(type='DenseVisualizationHook'))
    """

    def __init__(
        self,
        enable: bool = False,
        interval: int = 1,
        score_thr: float = 0.5,
        draw_gt: bool = False,
        alpha: float = 0.5,
        out_dir: str | None = None,
        show: bool = False,
        wait_time: float = 0.0,
    ) -> None:
        self.enable = enable
        self.interval = interval
        self.score_thr = score_thr
        self.draw_gt = draw_gt
        self.alpha = alpha
        self.out_dir = out_dir
        self.show = show
        self.wait_time = wait_time

    def after_val_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        loader = runner.val_dataloader
        self._draw_batch(runner, loader, batch_idx, data_batch, outputs)

    def after_test_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        loader = runner.test_dataloader
        self._draw_batch(runner, loader, batch_idx, data_batch, outputs)

    def _draw_batch(
        self,
        runner,
        loader,
        batch_idx: int,
        data_batch: dict,
        outputs: Sequence[BaseDataElement],
    ) -> None:
        if not self.enable:
            return
        classes = loader.dataset.metainfo['classes']
        start = batch_idx * loader.batch_size
        pairs = zip(data_batch['inputs'], outputs, strict=True)
        for number, (image, sample) in enumerate(pairs, start):
            if number % self.interval == 0:
                picture = self._draw(image, sample.cpu(), classes)
                self._put(runner, picture, sample.img_path)

    def _draw(
        self, image: Tensor, sample: BaseDataElement, classes: Sequence[str]
    ) -> Tensor:
        """The image with what was predicted: (3, H, W) uint8."""
        drawn = []
        for kind in ('gt', 'pred') if self.draw_gt else ('pred',):
            picture = image.cpu()
            instances = sample.get(f'{kind}_instances')
            if instances is not None:
                picture = self._draw_instances(picture, instances, classes)
            pixels = sample.get(f'{kind}_sem_seg')
            if pixels is not None:
                picture = self._draw_map(picture, pixels, classes)
            drawn.append(picture)
        return torch.cat(drawn, dim=2)

    def _draw_instances(
        self, image: Tensor, instances: InstanceData, classes: Sequence[str]
    ) -> Tensor:
        if 'scores' in instances:
            instances = instances[instances.scores >= self.score_thr]
        if not len(instances):
            return image
        names = [classes[label] for label in instances.labels.tolist()]
        if 'scores' in instances:
            scores = instances.scores.tolist()
            names = [
                f'{x} {score:.2f}'
                for x, score in zip(names, scores, strict=True)
            ]
        # Color 0 is black, which maps keep for the background.
        colors = _colors(instances.labels + 1)
        if 'masks' in instances:
            image = draw_segmentation_masks(
                image, instances.masks, self.alpha, colors
            )
        return draw_bounding_boxes(image, instances.bboxes, names, colors)

    def _draw_map(
        self, image: Tensor, pixels: PixelData, classes: Sequence[str]
    ) -> Tensor:
        present = torch.arange(len(classes))[:, None, None]
        present = present[present.flatten() != _background(classes)]
        masks = pixels.data == present
        return draw_segmentation_masks(
            image, masks, self.alpha, _colors(present.flatten())
        )

    def _put(self, runner, picture: Tensor, img_path: str) -> None:
        """Write the picture, show it, or hand it to the backends."""
        name = osp.splitext(osp.basename(img_path))[0]
        if self.out_dir is not None:
            os.makedirs(self.out_dir, exist_ok=True)
            write_png(picture, osp.join(self.out_dir, f'{name}.png'))
        pixels = picture.permute(1, 2, 0).numpy()
        if self.show:
            runner.visualizer.show(pixels, name, self.wait_time)
        if self.out_dir is None and not self.show:
            runner.visualizer.add_image(name, pixels, runner.iter)


def _background(classes: Sequence[str]) -> int:
    """The number of the class that is not drawn, or -1."""
    return classes.index('background') if 'background' in classes else -1


def _colors(numbers: Tensor) -> list[tuple[int, int, int]]:
    palette = class_colors(int(numbers.max()) + 1).tolist()
    return [tuple(palette[number]) for number in numbers.tolist()]
