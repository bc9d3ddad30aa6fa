"""Lists of ImageNet's images, on a folder of digits in its layout."""

import shutil

import cv2
import pytest
import torch
from helpers import digits_config, tiny_classifier
from mmpretrain.datasets import ImageNet, ImageNet21k
from sklearn.datasets import load_digits

from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, MODELS

# In another order than the digits that they stand for.
FOLDERS = [f'n0{7 * i % 10}000{i}' for i in range(10)]
CLASSES = dict(classes=tuple('0123456789'))


@pytest.fixture(scope='module')
def imagenet(tmp_path_factory):
    """Twelve images a class, ``train/n0.../n0..._7.JPEG``."""
    root = tmp_path_factory.mktemp('imagenet')
    images, labels = load_digits(return_X_y=True)
    for number, folder in enumerate(FOLDERS):
        (root / 'train' / folder).mkdir(parents=True)
        for i, image in enumerate(images[labels == number][:12]):
            path = root / 'train' / folder / f'{folder}_{i}.JPEG'
            cv2.imwrite(str(path), image.reshape(8, 8) * 15)
    return root


def names(imagenet, every=3):
    found = sorted(p.name for p in imagenet.glob('train/*/*.JPEG'))
    return found[::every]


def subset(imagenet, lines, **kwargs):
    path = imagenet / 'list.txt'
    path.write_text('\n'.join(lines) + '\n\n')
    kwargs = dict(data_root=str(imagenet), metainfo=CLASSES) | kwargs
    return dict(type='ImageNetSubset', list_file=str(path), **kwargs)


def build(*args, **kwargs):
    return DATASETS.build(subset(*args, **kwargs))


def test_labels_are_those_of_imagenet(imagenet):
    whole = ImageNet(data_root=str(imagenet), split='train', metainfo=CLASSES)
    expected = {
        info['img_path']: info['gt_label'] for info in whole.load_data_list()
    }
    lines = names(imagenet)[::-1]
    few = build(imagenet, lines)
    assert [p['img_path'].rsplit('/')[-1] for p in few] == lines
    for info in few:
        assert info['gt_label'] == expected[info['img_path']]
    assert set(few.get_gt_labels()) == set(range(10))
    assert len(few) == len(lines) == 40
    assert isinstance(few, ImageNet) and not isinstance(few, ImageNet21k)


def test_a_class_that_the_list_lacks_keeps_its_number(imagenet):
    last = sorted(FOLDERS)[-1]
    few = build(imagenet, [f'{last}_1.JPEG'])
    assert few.get_gt_labels().tolist() == [9]
    assert few[0]['img_path'].endswith(f'train/{last}/{last}_1.JPEG')


def test_imagenet_has_a_thousand_folders(imagenet):
    with pytest.raises(ValueError, match='10 class folders for 1000 classes'):
        build(imagenet, names(imagenet), metainfo=None)


def test_a_missing_list(imagenet):
    cfg = subset(imagenet, names(imagenet))
    with pytest.raises(FileNotFoundError, match="list_file='none.txt'"):
        DATASETS.build(dict(cfg, list_file='none.txt'))


def test_an_empty_list(imagenet):
    with pytest.raises(ValueError, match='list_file.*names no image'):
        build(imagenet, ['', ' '])


def test_a_missing_training_set(imagenet):
    with pytest.raises(FileNotFoundError, match='data_root'):
        build(imagenet, names(imagenet), data_root='nowhere')


@pytest.mark.parametrize(
    'line', ['n99999999_1.JPEG', FOLDERS[0], 'x.JPEG',
             f'{FOLDERS[0]}/{FOLDERS[0]}_1.JPEG'])  # fmt: skip
def test_unknown_names(imagenet, line):
    with pytest.raises(ValueError) as error:
        build(imagenet, [*names(imagenet), line, line])
    assert '2 images of list_file' in str(error.value)
    assert line in str(error.value) and '10 class folders' in str(error.value)


def test_missing_images(imagenet, tmp_path):
    root = tmp_path / 'copy'
    shutil.copytree(imagenet, root)
    lines = names(root)
    for line in lines[:7]:
        (root / 'train' / line.rsplit('_')[0] / line).unlink()
    with pytest.raises(FileNotFoundError) as error:
        build(root, lines)
    message = str(error.value)
    assert message.startswith('7 images') and lines[4] in message
    assert lines[5] not in message and ', ...)' in message


def test_semi_supervised_run(imagenet, tmp_path):
    """A pretrained backbone is fine-tuned on the images of a list."""
    torch.manual_seed(3)
    checkpoint = tmp_path / 'student.pth'
    network = tiny_classifier()
    torch.save(MODELS.build(network).state_dict(), checkpoint)
    pipeline = [
        dict(type='LoadImageFromFile', color_type='grayscale'),
        dict(type='PackInputs'),
    ]
    cfg = digits_config(tmp_path / 'run')
    cfg.model = {
        **network,
        'type': 'TransferClassifier',
        'checkpoint': str(checkpoint),
        'data_preprocessor': cfg.model.data_preprocessor,
    }
    cfg.train_dataloader.dataset = subset(
        imagenet, names(imagenet, every=1), pipeline=pipeline
    )
    cfg.val_dataloader.dataset = dict(
        type='ImageNet', data_root=str(imagenet), split='train',
        metainfo=CLASSES, pipeline=pipeline,
    )  # fmt: skip
    cfg.train_cfg.max_epochs = 8
    cfg.train_cfg.val_interval = 8
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    accuracy = runner.message_hub.get_scalar('val/accuracy/top1').current()
    assert accuracy > 80  # the same images, numbered alike
