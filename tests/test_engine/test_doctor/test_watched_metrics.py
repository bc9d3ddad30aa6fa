"""What a validation reports is known before it runs."""

import fnmatch

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmdistill.engine.doctor.watched_metrics import (
    reported_metrics,
    unreported_metrics,
)
from mmdistill.registry import METRICS

CLASSIFIERS = [
    dict(type='Accuracy'),
    dict(type='Accuracy', topk=(1, 2), prefix='mine'),
    dict(type='Accuracy', topk=1, thrs=(0.1, None)),
    dict(type='SingleLabelMetric'),
    dict(type='SingleLabelMetric', items=['recall'], average='micro'),
    dict(type='SingleLabelMetric', average=None),
    dict(type='AUC'),
]


def predictions():
    scores = torch.from_numpy(np.random.rand(12, 3)).float().softmax(dim=1)
    for i, score in enumerate(scores):
        sample = DataSample().set_gt_label(i % 3).set_pred_score(score)
        yield sample.to_dict()


@pytest.mark.parametrize('cfg', CLASSIFIERS, ids=str)
def test_what_a_metric_reports(cfg):
    expected = reported_metrics(dict(val_evaluator=[cfg], val_cfg={}))
    metric = METRICS.build(cfg)
    metric.process(None, [*predictions()])
    found = metric.evaluate(12)
    assert found
    for name in found:
        assert any(fnmatch.fnmatchcase(name, known) for known in expected)
    for known in expected:
        assert fnmatch.filter(found, known)


def keys(hooks, **cfg):
    sound = dict(val_cfg={}, val_evaluator=dict(type='Accuracy'))
    found = unreported_metrics({**sound, 'default_hooks': hooks, **cfg})
    return [one.key for one in found]


@pytest.mark.parametrize(
    ('name', 'cfg'),
    [
        ('accuracy/top1', {}),
        ('auto', {}),
        (['accuracy/top1'], {}),
        ('x/top1', dict(val_evaluator=dict(type='Accuracy', prefix='x'))),
        ('anything', dict(val_evaluator=dict(type='SomebodysOwn'))),
        ('anything', dict(val_cfg=dict(type='RetrievalLoop'))),
        ('anything', dict(val_cfg=None)),
        (
            'knn/teacher_top5_k7',
            dict(
                val_cfg=dict(type='KNNValLoop', k=(7,), part='teacher'),
                val_evaluator=[],
            ),
        ),
        (
            'episode/peer_2_ci95',
            dict(val_cfg=dict(type='EpisodeValLoop'), val_evaluator=[]),
        ),
        ('seg/mIoU', dict(val_evaluator=dict(type='MeanIoU'))),
        ('voc/AP50', dict(val_evaluator=dict(type='VOCMetric'))),
        ('peers/top1_3', dict(val_evaluator=[dict(type='PeerAccuracy')])),
        (
            'coco/segm_AP75',
            dict(val_evaluator=dict(type='CocoMetric', iou_types=['segm'])),
        ),
    ],
)
def test_names_that_are_let_pass(name, cfg):
    assert not keys(dict(checkpoint=dict(save_best=name)), **cfg)


@pytest.mark.parametrize(
    ('name', 'cfg'),
    [
        ('accuracy/top5', {}),
        ('accuracy', {}),
        ('knn/top1_k20', dict(val_cfg=dict(type='KNNValLoop', k=(10,)))),
        ('voc/AP75', dict(val_evaluator=dict(type='VOCMetric',
                                             iou_thrs=[0.5]))),
    ],
)  # fmt: skip
def test_names_that_nothing_reports(name, cfg):
    best = dict(checkpoint=dict(save_best=[name, 'auto']))
    assert keys(best, **cfg) == ['default_hooks.checkpoint.save_best']
    export = dict(export_student=dict(type='ExportStudentHook', metric=name))
    assert keys(export, **cfg) == ['default_hooks.export_student.metric']
    stop = [dict(type='EarlyStoppingHook', monitor=name)]
    found = keys({}, custom_hooks=stop, **cfg)
    assert found == ['custom_hooks.0.monitor']
