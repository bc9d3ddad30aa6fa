"""Two files a sample: what is paired, what is refused, what a run sees."""

import numpy as np
import pytest
import torch
from helpers import digits_config
from mmengine.dataset import default_collate
from PIL import Image

from mmdistill.datasets import IndexedDataset, SampleKey
from mmdistill.datasets.transforms.loading import UnreadableFile
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import DATASETS, TRANSFORMS

LOAD = dict(type='LoadImageFromFile', color_type='grayscale')


def resized(size):
    return dict(type='Resize', scale=(size, size))


SHARED = [
    LOAD,
    resized(12),
    dict(type='TeacherView', transforms=[LOAD, resized(12)]),
    dict(
        type='SharedTransforms',
        transforms=[
            dict(type='RandomCrop', crop_size=8),
            dict(type='RandomFlip', prob=0.5),
        ],
    ),
]
PIPELINE = [
    *SHARED,
    dict(type='TeacherView', transforms=[resized(16)]),
    resized(4),
    dict(type='PackPairInputs'),
]
ALONE = [LOAD, resized(4), dict(type='PackInputs')]


@pytest.fixture
def root(tmp_path):
    """Twelve images of two classes; the teacher's are theirs, inverted."""
    draw = np.random.RandomState(0)
    for i in range(12):
        image = draw.randint(0, 256, (12, 12)).astype(np.uint8)
        for side, pixels, suffix in (
            ('student', image, 'png'),
            ('teacher', 255 - image, 'bmp'),
        ):
            folder = tmp_path / side / 'ab'[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f'{i:02d}.{suffix}')
    return tmp_path


def paired(root, pipeline=(), teacher=True, **kwargs):
    prefix = dict(img_path='student')
    if teacher:
        prefix['teacher_img_path'] = 'teacher'
    return dict(
        type='PairedImages',
        data_root=str(root),
        data_prefix=prefix,
        pipeline=list(pipeline),
        **kwargs,
    )


def test_pairs_by_the_path_without_its_suffix(root):
    dataset = DATASETS.build(paired(root))
    assert len(dataset) == 12
    assert dataset.CLASSES == ('a', 'b')
    for i in range(12):
        info = dataset.get_data_info(i)
        name = info['img_path'].removeprefix(f'{root}/student/')
        assert info['teacher_img_path'] == (
            f'{root}/teacher/{name.removesuffix("png")}bmp'
        )
        assert info['gt_label'] == 'ab'.index(name[0])


def test_each_loads_its_own_file_with_its_own_transforms(root):
    item = DATASETS.build(paired(root, PIPELINE))[0]
    assert item['inputs'].shape == (1, 4, 4)
    assert item['teacher_inputs'].shape == (1, 16, 16)


def test_shared_transforms_draw_alike(root):
    """The inverted image is cropped and flipped as the other was."""
    pack = dict(type='PackPairInputs')
    dataset = DATASETS.build(paired(root, [*SHARED, pack]))
    seen = set()
    for i in range(12):
        item = dataset[i]
        both = item['inputs'].int() + item['teacher_inputs'].int()
        assert (both == 255).all()
        seen.add(item['data_samples'].flip)
    assert seen == {True, False}


def test_draws_are_a_function_of_seed_draw_and_sample(root):
    """And so the same in every worker, and after a resume."""
    dataset = IndexedDataset(DATASETS.build(paired(root, PIPELINE)), seed=3)

    def images(draw):
        item = dataset[SampleKey(5, draw)]
        return item['inputs'], item['teacher_inputs']

    first = images(1)
    others = [images(draw) for draw in range(2, 8)]
    assert all(map(torch.equal, first, images(1)))
    assert any(not torch.equal(first[0], other[0]) for other in others)
    assert any(not torch.equal(first[1], other[1]) for other in others)


def test_what_follows_shared_transforms_goes_on_as_the_student_did():
    """A worker's stream does not depend on the teacher's transforms."""
    shared = TRANSFORMS.build(
        dict(
            type='SharedTransforms',
            transforms=[dict(type='RandomCrop', crop_size=4)],
        )
    )
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    np.random.seed(7)
    shared(dict(img=image, teacher_img=image))
    after = np.random.rand()
    np.random.seed(7)
    shared.transforms(dict(img=image))
    assert np.random.rand() == after


def test_shared_transforms_of_two_sizes():
    shared = TRANSFORMS.build(dict(type='SharedTransforms', transforms=[]))
    image = np.zeros((8, 8, 1), np.uint8)
    with pytest.raises(ValueError, match=r'\(8, 8\).*\(4, 8\).*Resize'):
        shared(dict(img=image, teacher_img=image[:4]))
    with pytest.raises(KeyError, match='TeacherView'):
        shared(dict(img=image))


def test_the_teachers_file_has_to_be_loaded(root):
    """The teacher never gets the student's image instead."""
    pipeline = [LOAD, dict(type='TeacherView'), dict(type='PackPairInputs')]
    with pytest.raises(KeyError, match=r'00\.bmp.*LoadImageFromFile'):
        DATASETS.build(paired(root, pipeline))[0]


def test_without_the_teachers_folder_the_student_is_alone(root):
    for folder in (root / 'teacher').iterdir():
        for file in folder.iterdir():
            file.unlink()
    dataset = DATASETS.build(paired(root, ALONE, teacher=False))
    assert 'teacher_img_path' not in dataset.get_data_info(0)
    assert dataset[0]['inputs'].shape == (1, 4, 4)


@pytest.mark.parametrize(
    'gone, message',
    [
        (
            'teacher/a/04.bmp',
            r'1 of 12 files of data_prefix\.img_path \(.*student.*\) have no '
            r'other half in data_prefix\.teacher_img_path \(.*teacher.*\): '
            r'a/04\.png',
        ),
        (
            'student/b/03.png',
            r'1 of 12 files of data_prefix\.teacher_img_path .*b/03\.bmp',
        ),
    ],
)
def test_one_file_of_a_pair_is_missing(root, gone, message):
    (root / gone).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        DATASETS.build(paired(root))


def test_class_folders_differ(root):
    (root / 'teacher' / 'b').rename(root / 'teacher' / 'c')
    with pytest.raises(
        ValueError,
        match=r'data_prefix\.img_path \(.*\) alone has \[b\], '
        r'data_prefix\.teacher_img_path \(.*\) alone has \[c\]',
    ):
        DATASETS.build(paired(root))


def test_two_files_for_one_half(root):
    image = Image.new('L', (12, 12))
    image.save(root / 'teacher' / 'a' / '00.png')
    with pytest.raises(ValueError, match=r'00\.bmp.*00\.png.*keep one'):
        DATASETS.build(paired(root))


def test_a_folder_is_missing(root):
    cfg = paired(root)
    cfg['data_prefix']['teacher_img_path'] = 'depth'
    with pytest.raises(
        FileNotFoundError, match=r'data_prefix\.teacher_img_path.*depth'
    ):
        DATASETS.build(cfg)


@pytest.mark.parametrize('content', [b'', b'no image'], ids=['empty', 'text'])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_an_image_that_cannot_be_decoded_is_named(root, content, backend):
    path = root / 'teacher' / 'a' / '00.bmp'
    path.write_bytes(content)
    load = dict(LOAD, imdecode_backend=backend)
    view = dict(type='TeacherView', transforms=[load])
    dataset = DATASETS.build(paired(root, [load, view]))
    with pytest.raises(
        UnreadableFile, match=rf'{path}.*data_prefix\.teacher_img_path'
    ):
        dataset[0]


def listed(root, lines, separator=' ', **kwargs):
    text = '\n'.join(separator.join(line) for line in lines)
    (root / 'pairs.txt').write_text(text + '\n')
    metainfo = dict(classes=('a', 'b'))
    return paired(root, ann_file='pairs.txt', metainfo=metainfo, **kwargs)


def test_an_annotation_file_names_the_pairs(root):
    lines = [('a/00.png', 'b/01.bmp', '1'), ('a/02.png', 'a/02.bmp', '-1')]
    dataset = DATASETS.build(listed(root, lines))
    info = dataset.get_data_info(0)
    assert info['img_path'] == f'{root}/student/a/00.png'
    assert info['teacher_img_path'] == f'{root}/teacher/b/01.bmp'
    assert dataset.get_gt_labels().tolist() == [1, -1]

    alone = DATASETS.build(listed(root, lines, teacher=False))
    assert 'teacher_img_path' not in alone.get_data_info(0)
    assert alone.get_gt_labels().tolist() == [1, -1]

    (root / 'student' / 'a' / 'with blank.png').write_bytes(b'')
    lines = [('a/with blank.png', 'a/00.bmp')]
    dataset = DATASETS.build(listed(root, lines, '\t', with_label=False))
    info = dataset.get_data_info(0)
    assert info['img_path'] == f'{root}/student/a/with blank.png'
    assert 'gt_label' not in info


@pytest.mark.parametrize(
    'line, error, message',
    [
        (('a/00.png', 'a/99.bmp', '0'), FileNotFoundError,
         r'1 of 1 files .*pairs\.txt.*data_prefix\.teacher_img_path.*99\.bmp'),
        (('a/00.png', '0'), ValueError, 'line 1 of .*pairs.txt.*expected'),
        (('a/00.png', 'a/00.bmp', 'cat'), ValueError, 'line 1 .*expected'),
        (('a/00.png', 'a/00.bmp', '2'), ValueError, 'class 2, but there are'),
    ],
    ids=['missing', 'two columns', 'no number', 'no class'],
)  # fmt: skip
def test_a_line_that_does_not_fit(root, line, error, message):
    with pytest.raises(error, match=message):
        DATASETS.build(listed(root, [line]))


def run_config(root, work_dir, **kwargs):
    """A run on pairs, whose validation has the student's files alone."""
    cfg = digits_config(work_dir, dict(kd=dict(type='KDLoss')), **kwargs)
    for student in (cfg.model.student, cfg.model.teacher):
        student.head.num_classes = 2
    cfg.model.update(
        teacher_preprocessor=dict(mean=[127.5], std=[127.5]),
        input_size=(1, 4, 4),
        teacher_input_size=(1, 16, 16),
    )
    cfg.train_dataloader.dataset = paired(root, PIPELINE)
    cfg.train_dataloader.batch_size = 4
    cfg.val_dataloader.dataset = paired(root, ALONE, teacher=False)
    cfg.test_dataloader.dataset = paired(root, ALONE, teacher=False)
    cfg.default_hooks.update(
        teacher_check=dict(type='TeacherCheckHook'),
        export_student=dict(type='ExportStudentHook'),
    )
    return cfg


def test_trains_resumes_and_is_tested_without_the_teachers_files(
    root, tmp_path_factory
):
    runs = {}
    for name, epochs in dict(whole=4, first=2, rest=4).items():
        folder = tmp_path_factory.mktemp(name)
        cfg = run_config(root, folder)
        cfg.train_cfg.max_epochs = epochs
        if name == 'rest':
            cfg.load_from = str(runs['first'].work_dir + '/epoch_2.pth')
            cfg.resume = True
        runs[name] = DistillRunner.from_cfg(cfg)
        runs[name].train()
    whole, rest = (runs[name].model.state_dict() for name in ('whole', 'rest'))
    for name, value in whole.items():
        assert torch.equal(value, rest[name]), name

    for file in (root / 'teacher').glob('*/*'):
        file.unlink()
    cfg = run_config(root, tmp_path_factory.mktemp('test'))
    cfg.load_from = runs['whole'].work_dir + '/student.pth'
    assert 'accuracy/top1' in DistillRunner.from_cfg(cfg).test()


def test_the_teacher_is_not_judged_by_the_students_images(
    root, tmp_path_factory
):
    cfg = run_config(root, tmp_path_factory.mktemp('run'))
    cfg.default_hooks.teacher_check.min_accuracy = 60.0
    runner = DistillRunner.from_cfg(cfg)
    with pytest.raises(ValueError, match="no images of the teacher's.*Teach"):
        runner.train()


def test_a_batch_has_both(root):
    dataset = DATASETS.build(paired(root, PIPELINE))
    batch = default_collate([dataset[i] for i in range(4)])
    assert batch['inputs'].shape == (4, 1, 4, 4)
    assert batch['teacher_inputs'].shape == (4, 1, 16, 16)
