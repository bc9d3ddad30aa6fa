"""A file's answers are those of its network on the prepared pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detection_data import TINY, Rectangles, detector, run_config
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain import ImageClassificationInferencer
from PIL import Image
from predicting_files import (
    CLASSES,
    PACK,
    PIPELINE,
    classifier,
    finds_much,
    pictures,
    student_file,
)
from torchvision.io import write_png

from mmdistill.checkpoints import CheckpointError, load_file
from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.engine.runner import DistillRunner
from mmdistill.export import ExportError
from mmdistill.predicting import load
from mmdistill.registry import DATASETS


@pytest.fixture(scope='module')
def all_pictures(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp('pictures'))


@pytest.fixture
def student(tmp_path):
    student_file(tmp_path / 'student.pth', classifier(), size=(16, 16))
    return load(tmp_path / 'student.pth')


def scores(answers):
    return np.stack([answer['scores'] for answer in answers])


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('to_rgb', [True, False])
def test_pictures_of_every_kind(tmp_path, all_pictures, to_rgb):
    """As MMPretrain's inferencer and as the dataset of the run."""
    path = tmp_path / 'student.pth'
    student_file(path, classifier(to_rgb=to_rgb), size=(16, 16))
    student = load(path)
    assert (student.kind, student.classes) == ('classifier', CLASSES)
    assert student.input_size == (16, 16)
    paths = [str(path) for path in all_pictures.values()]
    found = student(paths, batch_size=5)
    text = load_file(path)['meta']['cfg']
    infer = ImageClassificationInferencer(
        Config.fromstring(text, '.py'), str(path)
    )
    expected = infer(paths)
    close(scores(found), [x['pred_scores'] for x in expected])
    assert [x['label'] for x in found] == [x['pred_label'] for x in expected]
    assert np.ptp(scores(found)[:, 1]) > 0.02
    for answer in found:
        assert answer['name'] == CLASSES[answer['label']]
        assert answer['score'] == answer['scores'].max()
        assert isinstance(answer['label'], int)
    # what is in memory, too, whatever PIL makes of a file
    exact = [p for p in paths if p.endswith(('png', 'bmp'))]
    close(scores(student(map(Image.open, exact))), scores(student(exact)))
    turned = [p for p in paths if p.endswith('turned.jpg')]
    np.testing.assert_allclose(
        scores(student([Image.open(p) for p in turned])),
        scores(student(turned)),
        atol=0.01,  # two decoders of JPEG
    )


def test_images_in_memory(student, all_pictures):
    path = all_pictures['color.png']
    (expected,) = student(path)
    rgb = np.array(Image.open(path))
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    for images in (
        rgb,
        tensor,
        Image.fromarray(rgb),
        [str(path)],
        rgb[None],
        (x for x in [rgb]),
        np.dstack([rgb, rgb[..., 0]]),
    ):
        (found,) = student(images)
        close(found['scores'], expected['scores'])
    gray = np.array(Image.open(all_pictures['gray.png']))
    assert gray.ndim == 2
    close(
        scores(student([gray, gray[..., None], torch.from_numpy(gray)[None]])),
        scores(student([all_pictures['gray.png']] * 3)),
    )


def test_no_answer_depends_on_the_batch(tmp_path, all_pictures):
    """Also of images of several sizes, which the pipeline leaves."""
    pipeline = [PIPELINE[0], PACK]
    student_file(tmp_path / 'student.pth', classifier(), pipeline)
    student = load(tmp_path / 'student.pth')
    paths = [all_pictures['color.png'], all_pictures['turned.jpg']] * 3
    together = student(paths, batch_size=4)
    alone = [student(path)[0] for path in paths]
    close(scores(together), scores(alone))
    close(
        student.embed(paths, batch_size=4),
        np.concatenate([student.embed(path) for path in paths]),
    )


def test_features(student, all_pictures):
    features = student.embed(all_pictures.values())
    assert features.shape == (len(all_pictures), 16)
    assert features.dtype == np.float32
    head = student.model.head.fc
    with torch.no_grad():
        logits = head(torch.from_numpy(features))
    close(logits.softmax(1), scores(student(all_pictures.values())))
    unit = student.embed(all_pictures.values(), normalize=True)
    close(unit, features / np.linalg.norm(features, axis=1, keepdims=True))
    with pytest.raises(ValueError, match='got no image'):
        student.embed([])
    assert student([]) == []


def test_a_gray_pipeline(tmp_path, all_pictures):
    pipeline = [dict(PIPELINE[0], color_type='grayscale'), *PIPELINE[1:]]
    student_file(tmp_path / 'student.pth', classifier(1), pipeline)
    student = load(tmp_path / 'student.pth')
    for name in ('color.png', 'gray.png'):
        path = all_pictures[name]
        close(
            scores(student(np.array(Image.open(path)))), scores(student(path))
        )


@pytest.mark.parametrize('to_rgb', [True, False])
def test_a_student_of_arrays(tmp_path, to_rgb):
    """CIFAR's, which are RGB: its network sees the same of picture files."""
    path = tmp_path / 'student.pth'
    model = classifier(to_rgb=to_rgb)
    student_file(path, model, [PACK], (16, 16))
    student = load(path)
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / 'picture.png')
    inputs = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    given = student.model.data_preprocessor
    with torch.no_grad():
        logits = student.model((inputs - given.mean) / given.std)
    for one in (tmp_path / 'picture.png', image):
        close(scores(student(one)), logits.softmax(1))


def test_a_student_of_small_gray_arrays(tmp_path, all_pictures, caplog):
    """Pictures become gray and small, which is said once."""
    student_file(tmp_path / 'student.pth', classifier(1), [PACK], (8, 8))
    student = load(tmp_path / 'student.pth')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    answers = student(all_pictures.values())
    logger.removeHandler(caplog.handler)
    said = [r.getMessage() for r in caplog.records]
    assert len(said) == 1 and 'made gray and resized to (8, 8)' in said[0]
    assert scores(answers).shape == (len(all_pictures), 3)
    path = all_pictures['color.png']
    small = Image.open(path).convert('L').resize((8, 8), Image.BILINEAR)
    np.testing.assert_allclose(
        scores(student(small)), scores(student(path)), atol=0.02
    )


def test_images_that_were_kept_in_one_tensor(tmp_path):
    """Their file has the transforms that ran once, before it was kept."""
    folder = tmp_path / 'images' / 'red'
    folder.mkdir(parents=True)
    path = folder / 'one.png'
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (30, 20, 3), np.uint8)).save(path)
    inside = dict(
        type='CustomDataset',
        data_root=str(tmp_path / 'images'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(16, 16), backend='pillow'),
        ],
    )
    dataset = dict(type='ImageTensorDataset', dataset=inside)
    for to_rgb in (True, False):
        file = tmp_path / f'{to_rgb}.pth'
        network = student_file(
            file, classifier(to_rgb=to_rgb), [PACK], dataset=dataset
        )
        item = DATASETS.build(dict(dataset, pipeline=[PACK]))[0]['inputs']
        data = network.data_preprocessor(dict(inputs=item[None]), False)
        with torch.no_grad():
            expected = network(data['inputs']).softmax(1)
        close(scores(load(file)(path)), expected)


@pytest.mark.parametrize('kind', ['FasterRCNN', 'MaskRCNN', 'FCN'])
def test_a_detector_and_a_segmentor(tmp_path, kind):
    """The full checkpoint of a run, on files and on tensors."""
    model = finds_much(kind) if kind != 'FCN' else dict(
        type='FCN', backbone=dict(TINY, out_indices=(2, 3)), num_classes=4
    )  # fmt: skip
    names = ('a', 'b', 'c') if kind != 'FCN' else ('ground', 'a', 'b', 'c')
    runner = DistillRunner.from_cfg(run_config(tmp_path / 'run', model, 1))
    runner.train_dataloader.dataset.metainfo = dict(classes=names)
    runner.train()
    data = Rectangles(3)
    network = runner.model.eval()
    expected = []
    for i in range(3):
        batch = {k: [v] for k, v in data[i].items()}
        with torch.no_grad():
            expected += network.test_step(batch)
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    for i, path in enumerate(paths):
        write_png(data[i]['inputs'], str(path))
    student = load(tmp_path / 'run' / 'epoch_1.pth')
    assert student.kind == ('segmentor' if kind == 'FCN' else 'detector')
    tensors = [data[i]['inputs'] for i in range(3)]
    for images in (paths, tensors):
        for sample, found in zip(expected, student(images), strict=True):
            if kind == 'FCN':
                classes = sample.pred_sem_seg.data[0]
                np.testing.assert_array_equal(found['classes'], classes)
                continue
            wanted = sample.pred_instances
            assert len(wanted) > 0
            close(found['boxes'], wanted.bboxes)
            close(found['scores'], wanted.scores)
            assert found['labels'].tolist() == wanted.labels.tolist()
            assert found['names'] == [names[i] for i in wanted.labels]
            assert ('masks' in found) == (kind == 'MaskRCNN')
            if 'masks' in found:
                np.testing.assert_array_equal(found['masks'], wanted.masks)
    with pytest.raises(ValueError, match='gives no feature of a whole image'):
        student.embed(paths)


def test_a_detector_reads_every_kind_of_picture(tmp_path, all_pictures):
    pipeline = [
        dict(type='LoadRGBImage'),
        dict(type='LoadInstances'),
        dict(type='PackDenseInputs'),
    ]
    student_file(tmp_path / 'student.pth', finds_much(), pipeline)
    student = load(tmp_path / 'student.pth')
    paths = [p for n, p in all_pictures.items() if n.endswith('png')]
    found = student(paths)
    for one, other in zip(found, student(map(Image.open, paths)), strict=True):
        assert len(one['boxes']) > 0
        close(one['boxes'], other['boxes'])
    resizing = dict(
        type='VisionTransforms', transforms=[dict(type='Resize', size=(9, 9))]
    )
    pipeline = [pipeline[0], resizing, pipeline[-1]]
    student_file(tmp_path / 'student.pth', detector(), pipeline)
    with pytest.raises(ValueError, match='changes the size of images'):
        load(tmp_path / 'student.pth')(paths)


def test_files_that_cannot_be_read(student, tmp_path, all_pictures):
    text, empty = tmp_path / 'text.png', tmp_path / 'empty.JPG'
    text.write_text('no picture')
    empty.touch()
    good = all_pictures['color.png']
    loads = dict(PIPELINE[0], imdecode_backend='pillow')
    student_file(tmp_path / 'pillow.pth', classifier(), [loads, PACK])
    for path in (text, empty):
        for one in (student, load(tmp_path / 'pillow.pth')):
            with pytest.raises(UnreadableFile, match=path.name):
                one([good, path])
    with pytest.raises(FileNotFoundError, match='gone.png.* is no file'):
        student([good, tmp_path / 'gone.png'])
    with pytest.raises(FileNotFoundError, match='is a folder'):
        student(tmp_path)
    given = [good, text, tmp_path / 'gone.png', empty, good]
    found = student(given, batch_size=2, skip_errors=True)
    assert ['error' in answer for answer in found] == [
        False, True, True, True, False
    ]  # fmt: skip
    assert 'text.png' in found[1]['error']
    close(found[0]['scores'], found[4]['scores'])


@pytest.mark.parametrize(
    'image, error, said',
    [
        (np.zeros((4, 4, 3)), TypeError, 'image 0: it has values of float64'),
        (np.zeros((8, 9, 5), np.uint8), ValueError, r'shape \(8, 9, 5\)'),
        ([[1, 2]], TypeError, 'image 0: it is a list'),
        (3, TypeError, 'got 3, a int'),
        (Image.new('F', (4, 4)), TypeError, 'PIL image of floats'),
    ],
)
def test_what_is_no_image(student, image, error, said):
    with pytest.raises(error, match=said):
        student(image)


def test_a_batch_has_images(student, all_pictures):
    with pytest.raises(ValueError, match='batch_size is a number of images'):
        student(all_pictures.values(), batch_size=0)


def test_tiny_pictures(student, tmp_path):
    Image.new('RGB', (1, 1)).save(tmp_path / 'dot.png')
    assert len(student(tmp_path / 'dot.png')) == 1


def test_a_file_that_does_not_say_how_images_are_prepared(tmp_path):
    path = tmp_path / 'student.pth'
    student_file(path, classifier(), None)
    with pytest.raises(ExportError, match='neither a test pipeline'):
        load(path)
    file = load_file(path)
    cfg = Config.fromstring(file['meta']['cfg'], '.py')
    del cfg.model['data_preprocessor']
    file['meta']['cfg'] = cfg.pretty_text
    torch.save(file, path)
    with pytest.raises(ExportError, match='does not say how images were nor'):
        load(path)
    cfg.model.data_preprocessor = dict(mean=[1.0] * 3, std=[1.0] * 3)
    cfg.test_dataloader = dict(dataset=dict(pipeline=PIPELINE))
    cfg.dump(tmp_path / 'training.py')
    assert load(path, config=tmp_path / 'training.py').kind == 'classifier'
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        load(tmp_path / 'gone.pth')


def test_a_strangers_pipeline_runs_nothing(tmp_path):
    path = tmp_path / 'student.pth'
    evil = dict(type='os.system', command='true')
    student_file(path, classifier(), [PIPELINE[0], evil, PACK])
    with pytest.raises(CheckpointError, match='os.system'):
        load(path)
    # torchvision's names stand inside of ours
    vision = dict(
        type='VisionTransforms', transforms=[dict(type='ScaleJitter',
                                                  target_size=(9, 9))]
    )  # fmt: skip
    student_file(path, classifier(), [PIPELINE[0], vision, PACK])
    load(path)


def test_loading_leaves_the_scope_as_it_was(tmp_path, all_pictures):
    student_file(tmp_path / 'student.pth', classifier())
    before = DefaultScope.get_current_instance().scope_name
    with DefaultScope.overwrite_default_scope('mmengine'):
        student = load(tmp_path / 'student.pth')
        assert DefaultScope.get_current_instance().scope_name == 'mmengine'
        student(all_pictures['color.png'])
    assert DefaultScope.get_current_instance().scope_name == before
