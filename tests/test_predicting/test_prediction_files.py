"""What is printed and written is what the student says."""

import csv
import json

import numpy as np
import pytest
from detection_data import TINY, detector
from predicting_files import (
    CLASSES,
    classifier,
    finds_much,
    pictures,
    student_file,
)
from pycocotools import mask as coco_mask

from mmdistill.predicting import load, predict_files


@pytest.fixture
def folder(tmp_path):
    pictures(tmp_path / 'pictures')
    return tmp_path / 'pictures'


def rows(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_classifier(tmp_path, folder, capsys):
    path = tmp_path / 'student.pth'
    student_file(path, classifier(), size=(16, 16))
    out = tmp_path / 'new' / 'answers.csv'
    records = predict_files(path, folder, out, top=2, batch_size=4)
    paths = [record['path'] for record in records]
    expected = load(path)(paths)
    lines = capsys.readouterr().out.splitlines()
    table = rows(out)
    assert len(records) == len(lines) == len(table) == 13
    for record, answer, line, row in zip(
        records, expected, lines, table, strict=True
    ):
        order = np.argsort(-answer['scores'])
        assert record['label'] == answer['label'] == order[0]
        assert [x['label'] for x in record['top']] == order[:2].tolist()
        first, second = (CLASSES[i] for i in order[:2])
        a, b = answer['scores'][order[:2]]
        assert line == f'{row["path"]}: {first} {a:.3f}, {second} {b:.3f}'
        assert (row['name'], row['name_2']) == (first, second)
        assert float(row['score']) == pytest.approx(a, abs=1e-6)
    out = tmp_path / 'answers.JSON'
    records = predict_files(path, folder, out)
    assert json.loads(out.read_text()) == records
    assert all(len(record['top']) == 3 for record in records)


def test_a_detector_and_a_segmentor(tmp_path, folder, capsys):
    path = tmp_path / 'student.pth'
    student_file(path, finds_much('MaskRCNN'), None)
    out = tmp_path / 'objects.csv'
    records = predict_files(path, [folder / 'color.png'], out, top=1)
    (answer,) = load(path)(folder / 'color.png')
    (record,) = records
    assert record['boxes'] == answer['boxes'].tolist()
    table = rows(out)
    assert len(table) == len(answer['boxes']) > 1
    np.testing.assert_allclose(
        [[float(row[x]) for x in ('x1', 'y1', 'x2', 'y2')] for row in table],
        answer['boxes'],
        rtol=1e-6,
    )
    masks = [coco_mask.decode(mask) for mask in record['masks']]
    np.testing.assert_array_equal(masks, answer['masks'])
    name, score = answer['names'][0], answer['scores'][0]
    said = f': {len(table)} objects, {name} {score:.3f}\n'
    assert capsys.readouterr().out.endswith(said)
    predict_files(path, [folder / 'color.png'], tmp_path / 'objects.json')
    assert json.loads((tmp_path / 'objects.json').read_text()) == records

    model = dict(
        type='FCN', backbone=dict(TINY, out_indices=(3,)), num_classes=3
    )
    student_file(path, model, None)
    out = tmp_path / 'shares.csv'
    (record,) = predict_files(path, [folder / 'color.png'], out)
    (answer,) = load(path)(folder / 'color.png')
    shares = {x['name']: x['share'] for x in record['shares']}
    assert sum(shares.values()) == pytest.approx(1)
    for label, name in enumerate(CLASSES):
        share = (answer['classes'] == label).mean()
        assert shares.get(name, 0) == pytest.approx(share)
    assert len(rows(out)) == len(shares)


def test_a_picture_without_an_object_has_a_row(tmp_path, folder):
    model = detector()
    model['roi'] = dict(model['roi'], box_score_thresh=0.999)
    student_file(tmp_path / 'student.pth', model, None)
    out = tmp_path / 'objects.csv'
    predict_files(tmp_path / 'student.pth', [folder / 'gray.png'], out)
    assert rows(out) == [dict(path=str(folder / 'gray.png'))]


def test_broken_pictures(tmp_path, folder, capsys):
    student_file(tmp_path / 'student.pth', classifier(), size=(16, 16))
    (folder / 'broken.png').write_text('no picture')
    student, out = tmp_path / 'student.pth', tmp_path / 'answers.csv'
    with pytest.raises(ValueError, match='broken.png'):
        predict_files(student, folder, out)
    assert not out.exists()
    predict_files(student, folder, out, skip_errors=True)
    assert 'broken.png: error: ' in capsys.readouterr().out
    table = {row['path']: row for row in rows(out)}
    assert len(table) == 14
    assert 'broken.png' in table[str(folder / 'broken.png')]['error']


def test_what_cannot_be_asked(tmp_path, folder):
    student_file(
        tmp_path / 'encoder.pth',
        dict(
            type='SelfSupervisedEncoder',
            backbone=classifier()['backbone'],
            neck=dict(type='GlobalAveragePooling'),
        ),
    )
    with pytest.raises(ValueError, match='holds an encoder.*embed'):
        predict_files(tmp_path / 'encoder.pth', folder)
    with pytest.raises(ValueError, match='should end in .csv or .json'):
        predict_files(tmp_path / 'gone.pth', folder, tmp_path / 'out.txt')
    with pytest.raises(ValueError, match='top is 1 or more, got 0'):
        predict_files(tmp_path / 'gone.pth', folder, top=0)
