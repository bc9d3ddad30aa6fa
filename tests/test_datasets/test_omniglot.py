"""Omniglot in the layout of its archives, made here, and the real one."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmdistill.datasets import dataset_labels
from mmdistill.registry import DATASETS

REAL = Path(__file__).parents[3] / 'shared' / 'data' / 'omniglot'
TURNED = (0, 90, 180, 270)


def drawing(number: int, size: int = 105) -> bytes:
    """A white page with one black pixel, which says which drawing it is."""
    pixels = np.full((size, size), True)
    pixels[number, 2 * number] = False
    file = io.BytesIO()
    Image.fromarray(pixels).convert('1').save(file, 'PNG')
    return file.getvalue()


def write(path, characters, start):
    """An archive as they are published: its own folder around alphabets."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(f'{path.stem}/', '')
        for offset, character in enumerate(characters):
            archive.writestr(f'{path.stem}/{character}/', '')
            number = start + offset
            for i in range(1, 4):
                archive.writestr(
                    f'{path.stem}/{character}/{number:04d}_{i:02d}.png',
                    drawing(10 * offset + i),
                )
        # what packing programs leave behind
        archive.writestr(f'__MACOSX/{path.stem}/._0001_01.png', b'')
        archive.writestr(f'{path.stem}/Greek/notes.txt', b'')


@pytest.fixture
def root(tmp_path):
    greek = [f'Greek/character{i:02d}' for i in (1, 2)]
    write(tmp_path / 'one.zip', [*greek, 'Balinese/character01'], 394)
    write(tmp_path / 'two.zip', [*greek, 'Tagalog/character01'], 394)
    return tmp_path


def omniglot(root, files=('one',), **kwargs):
    return DATASETS.build(
        dict(type='Omniglot', data_root=str(root), files=files, **kwargs)
    )


def test_archive(root):
    dataset = omniglot(root)
    classes = ('Balinese/character01', 'Greek/character01',
               'Greek/character02')  # fmt: skip
    assert dataset.metainfo['classes'] == classes
    assert dataset_labels(dataset).tolist() == [0] * 3 + [1] * 3 + [2] * 3
    for i in range(len(dataset)):
        item = dataset[i]
        assert item['img'].shape == (105, 105)
        assert item['img'].dtype == np.uint8
        # Balinese is the third that was written, but the first by name
        number = 10 * [2, 0, 1][item['gt_label']] + i % 3 + 1
        assert np.argwhere(item['img'] == 0).tolist() == [[number, 2 * number]]
        assert (item['img'] == 255).sum() == 105**2 - 1
        assert item['img_id'].startswith(classes[item['gt_label']])
        assert item['img_id'].endswith(f'_{i % 3 + 1:02d}.png')


@pytest.mark.parametrize('files', ['one.zip', ['one']])
def test_folders_and_names_with_a_suffix(root, files):
    expected = list(omniglot(root))
    if files == ['one']:
        with zipfile.ZipFile(root / 'one.zip') as archive:
            archive.extractall(root)
        (root / 'one.zip').unlink()
    found = omniglot(root, files)
    assert len(found) == 9
    for i, item in enumerate(expected):
        assert np.array_equal(found[i]['img'], item['img'])
        assert found[i]['img_id'] == item['img_id']


def test_what_two_files_share_counts_once(root):
    both = omniglot(root, ('one', 'two'))
    assert len(both) == 12
    assert len(both.metainfo['classes']) == 4


def test_alphabets(root):
    rest = omniglot(root, ('two',), exclude_alphabets=['Greek'])
    assert rest.metainfo['classes'] == ('Tagalog/character01',)
    only = omniglot(root, ('one', 'two'), only_alphabets=['Tagalog'])
    assert len(only) == 3
    assert np.array_equal(only[1]['img'], rest[1]['img'])


def test_rotations_are_classes(root):
    plain = omniglot(root)
    turned = omniglot(root, rotations=(270, 0, 180, 90))
    names = turned.metainfo['classes']
    assert len(turned) == 4 * len(plain)
    assert names[:5] == (
        *(f'Balinese/character01/rot{angle:03d}' for angle in TURNED),
        'Greek/character01/rot000',
    )
    for character in range(3):
        for quarter in range(4):
            label = 4 * character + quarter
            item = turned[3 * label + 2]
            assert item['gt_label'] == label
            upright = plain[3 * character + 2]['img']
            assert np.array_equal(item['img'], np.rot90(upright, quarter))


@pytest.mark.parametrize(
    'lines, rotations, expected',
    [(['Greek/character02'], (0,), ['Greek/character02']),
     (['Greek/character02/rot000', 'Greek/character02/rot090'], (0,),
      ['Greek/character02']),
     (['Greek/character01/rot090', '', 'Greek/character02'], (0, 90),
      ['Greek/character01/rot090', 'Greek/character02/rot000',
       'Greek/character02/rot090'])])  # fmt: skip
def test_class_list(root, lines, rotations, expected):
    (root / 'train.txt').write_text('\n'.join(lines) + '\n')
    dataset = omniglot(
        root, rotations=rotations, class_list=str(root / 'train.txt')
    )
    assert dataset.metainfo['classes'] == tuple(expected)
    assert len(dataset) == 3 * len(expected)


def test_lazy_subsets_and_the_pipeline(root):
    dataset = omniglot(root, lazy_init=True)
    assert not dataset._fully_initialized
    dataset.full_init()
    assert len(dataset.data_address) == 9  # serialised
    pipeline = [
        dict(type='Resize', scale=(28, 28), interpolation='area'),
        dict(type='PackInputs'),
    ]
    item = omniglot(root, indices=[7], pipeline=pipeline)[0]
    assert item['inputs'].shape == (1, 28, 28)
    assert item['data_samples'].gt_label == 2
    assert "['one']" in repr(dataset)


def test_as_one_tensor(root):
    inner = dict(type='Omniglot', data_root=str(root), files=['one'])
    dataset = DATASETS.build(dict(type='ImageTensorDataset', dataset=inner))
    assert dataset.images.shape == (9, 1, 105, 105)
    assert len(dataset.metainfo['classes']) == 3


@pytest.mark.parametrize(
    'kwargs, error, message',
    [(dict(files=['three']), FileNotFoundError, r'three\.zip.*data_root'),
     (dict(files=['three.zip']), FileNotFoundError, 'data_root and files'),
     (dict(only_alphabets=['Latin']), ValueError,
      r"no alphabet \['Latin'\], only \['Balinese', 'Greek'\]"),
     (dict(exclude_alphabets=['Greek', 'Balinese']), ValueError,
      'no character is left'),
     (dict(rotations=(45,)), ValueError, 'rotations are some of'),
     (dict(rotations=()), ValueError, 'rotations are some of'),
     (dict(class_list='nowhere.txt'), FileNotFoundError, 'class_list'),
     (dict(files=['text']), ValueError, 'has no drawing'),
     (dict(files=['broken']), ValueError, 'damaged')])  # fmt: skip
def test_bad_input(root, kwargs, error, message):
    (root / 'text').mkdir()
    (root / 'text' / 'a.png').write_bytes(drawing(1))
    (root / 'broken.zip').write_bytes(b'PK, but not really')
    with pytest.raises(error, match=message):
        omniglot(root, **kwargs)


def test_flipped_byte_in_an_archive(root):
    content = bytearray((root / 'one.zip').read_bytes())
    content[content.index(b'IDAT') + 6] ^= 1
    (root / 'one.zip').write_bytes(content)
    with pytest.raises(ValueError, match='damaged'):
        omniglot(root)


def test_listed_character_that_is_not_there(root):
    lines = [f'Hebrew/character{i:02d}/rot000' for i in range(1, 8)]
    (root / 'train.txt').write_text('\n'.join(['Greek/character01', *lines]))
    with pytest.raises(ValueError, match='7 lines .*Hebrew.*, .*add the file'):
        omniglot(root, class_list=str(root / 'train.txt'))


@pytest.mark.skipif(
    not REAL.is_dir(), reason='no part of Omniglot lies beside the repository'
)
def test_the_real_background_sets():
    files = 'images_background_small1', 'images_background_small2'
    first, second = (omniglot(REAL, (name,)) for name in files)
    assert (len(first), len(second)) == (2720, 3120)
    assert np.bincount(dataset_labels(first)).tolist() == [20] * 136
    rest = omniglot(
        REAL, files[1:], exclude_alphabets=['Greek', 'Latin'], rotations=TURNED
    )
    alphabets = {name.split('/')[0] for name in rest.metainfo['classes']}
    assert alphabets == {'Japanese_(katakana)', 'Sanskrit', 'Tagalog'}
    assert len(rest) == 4 * 20 * 106
    # Greek and Latin are in both, drawing by drawing
    assert len(omniglot(REAL, files)) == 20 * (136 + 106)
    image = first[0]['img']
    assert image.shape == (105, 105)
    assert set(np.unique(image)) == {0, 255}
    assert (image == 0).mean() < 0.2
