"""Classes of folders and lists, compared by name."""

import pytest

from mmdistill.engine.doctor.class_folders import (
    classes_of_dataset,
    wrong_classes,
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    for split, names in dict(
        a=('cat', 'dog'), b=('cat', 'cow'), c=('ant', 'cat', 'dog')
    ).items():
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
    (tmp_path / 'a' / '.hidden').mkdir()
    (tmp_path / 'a' / 'readme.txt').touch()
    (tmp_path / 'list.txt').write_text('x y.png 0\nz.png 6\n\n')
    (tmp_path / 'names.txt').write_text('one\ntwo\n')
    monkeypatch.chdir(tmp_path)


def of(**dataset):
    cfg = dict(dict(type='CustomDataset'), **dataset)
    found = classes_of_dataset(dict(x=dict(dataset=cfg)), 'x')
    return found and (found.names, found.number)


def test_classes(place):
    assert of(data_prefix='a') == (('cat', 'dog'), 2)
    assert of(data_root='c') == (('ant', 'cat', 'dog'), 3)
    assert of(data_root='c', with_label=False) is None
    assert of(ann_file='list.txt') == (None, 7)
    assert of(ann_file='list.txt', classes='names.txt') == (('one', 'two'), 7)
    assert of(type='ImageNet', data_root='.', split='train')[1] == 1000
    assert of(type='CIFAR10')[1] == 10
    assert of(type='Digits')[1] == 10
    halves = ((0, 2, 4, 6, 8), (1, 3, 5, 7, 9))
    assert of(type='Digits', groups=halves) == (
        ('0/2/4/6/8', '1/3/5/7/9'), 2)  # fmt: skip
    assert of(type='SomebodysOwn', data_root='a') is None
    repeated = dict(type='CustomDataset', data_root='b')
    found = of(type='RepeatDataset', dataset=repeated, times=2)
    assert found == (('cat', 'cow'), 2)


def keys(train='a', val='a', number=2, val_cfg=None, **model):
    def loader(folder):
        return dict(dataset=dict(type='CustomDataset', data_prefix=folder))

    head = dict(head=dict(num_classes=number))
    cfg = dict(
        model=dict(student=head, **model) if model else head,
        train_dataloader=loader(train),
        val_dataloader=loader(val),
        val_cfg=val_cfg or {},
    )
    return [str(one) for one in wrong_classes(cfg)]


def test_names_are_compared_not_positions(place):
    assert not keys()
    (text,) = keys(val='b')
    assert text.startswith('val_dataloader.dataset (b): ')
    assert "['dog']; only the second has ['cow']" in text
    assert not keys(val='b', val_cfg=dict(type='KNNValLoop'))


def test_every_label_has_a_score(place):
    (text,) = keys('c', 'c')
    assert text.startswith('model.head.num_classes: there are 2 class scores')
    (text,) = keys('c', 'c', teacher={})
    assert 'set model.student.head.num_classes=3' in text
    assert not keys('c', 'c', task_weight=0)
    assert not keys('c', 'c', number=5)
