"""k-NN in place of a validation or a test."""

import numpy as np
import pytest
import torch
from helpers import digits_config, run_distributed, tiny_classifier
from knn_runs import bank, knn_config, loader, logged

from mmdistill.checkpoints import load_file
from mmdistill.engine.knn.features import extract_features
from mmdistill.engine.runner import DistillRunner
from mmdistill.registry import MODELS


def test_validation_in_a_run(tmp_path):
    cfg = knn_config(tmp_path)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', save_best='knn/top1_k20'
    )
    cfg.custom_hooks = [dict(type='ExportStudentHook', metric='knn/top1_k20')]
    cfg.train_dataloader.dataset.indices = 800
    runner = DistillRunner.from_cfg(cfg)
    runner.train()
    names = [f'knn/top{top}_k{k}' for top in (1, 5) for k in (10, 20)]
    records = [r for r in logged(tmp_path) if 'knn/top1_k20' in r]
    assert [r['step'] for r in records] == [1, 2]
    for record in records:
        assert set(names) <= set(record)
        assert 60 < record['knn/top1_k20'] < record['knn/top5_k20'] <= 100
    best = max(r['knn/top1_k20'] for r in records)
    assert runner.message_hub.get_info('best_score') == best
    assert list(tmp_path.glob('best_knn_top1_k20_epoch_*.pth'))
    exported = load_file(tmp_path / 'student_best.pth')
    assert exported['meta']['score'] == best


def test_a_plain_classifier_is_tested(tmp_path):
    """Accuracy by hand, and modes and random states as before."""
    cfg = knn_config(tmp_path, 'test', k=(3,))
    cfg.model = dict(
        tiny_classifier(), data_preprocessor=cfg.model.data_preprocessor
    )
    runner = DistillRunner.from_cfg(cfg)
    runner.model.train()
    runner.model.neck.eval()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    metrics = runner.test()
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert runner.model.training and not runner.model.neck.training

    runner.model.eval()
    vectors = {}
    for name, split in dict(bank='train', query='test').items():
        batches = loader(400 if name == 'bank' else 100)
        batches.dataset.dataset = runner.build_dataloader(
            dict(bank(400 if name == 'bank' else 100, split=split),
                 sampler=dict(type='DefaultSampler'))
        ).dataset  # fmt: skip
        size = len(batches.dataset)
        vectors[name] = extract_features(runner.model, batches, size)
    expected = naive_accuracy(*vectors['query'], *vectors['bank'], k=3)
    assert metrics['knn/top1_k3'] == pytest.approx(expected)


def naive_accuracy(queries, truth, bank, labels, k):
    hits = 0
    for query, label in zip(queries, truth, strict=True):
        cosine = torch.nn.functional.cosine_similarity(query[None], bank)
        near = cosine.argsort(descending=True)[:k]
        votes = torch.zeros(10)
        for i in near:
            votes[labels[i]] += (cosine[i] / 0.07).exp()
        hits += int(votes.argmax() == label)
    return 100 * hits / len(truth)


def test_evaluator_is_computed_too(tmp_path):
    cfg = knn_config(tmp_path)
    cfg.val_evaluator = [dict(type='Accuracy', topk=1)]
    plain = digits_config(tmp_path)
    metrics = []
    for one in (cfg, plain):
        runner = DistillRunner.from_cfg(one)
        metrics.append(runner.val())
    assert set(metrics[1]) == {'accuracy/top1'}
    assert metrics[0]['accuracy/top1'] == metrics[1]['accuracy/top1']
    assert 'knn/top1_k10' in metrics[0]


def test_unlabeled_samples_do_not_vote(tmp_path):
    some = bank(None, labelled_per_class=3)
    alone = bank(None, labelled_per_class=3, drop_unlabelled=True)
    metrics = []
    for one in (some, alone):
        cfg = knn_config(tmp_path, bank_dataloader=one, k=(10, 30))
        metrics.append(DistillRunner.from_cfg(cfg).val())
    assert metrics[0] == metrics[1]
    cfg = knn_config(tmp_path, bank_dataloader=some, k=(31,))
    with pytest.raises(ValueError, match='bank, 30'):
        DistillRunner.from_cfg(cfg).val()


@pytest.mark.parametrize(
    'loop, message',
    [(dict(k=(401,)), 'bank, 400'),
     (dict(bank_dataloader=dict(
         bank(), sampler=dict(type='InfiniteSampler'))), 'never ends'),
     (dict(bank_dataloader=dict(bank(30), drop_last=True, batch_size=20)),
      '10 of 30 samples')])  # fmt: skip
def test_banks_that_do_not_do(tmp_path, loop, message):
    with pytest.raises(ValueError, match=message):
        DistillRunner.from_cfg(knn_config(tmp_path, **loop)).val()


def share(rank, world, folder):
    """Features of a few digits, and the metrics of a test run."""
    from mmdistill.utils import register_all_modules

    register_all_modules()
    torch.manual_seed(1)
    model = MODELS.build(tiny_classifier()).eval()
    found = extract_features(model, loader(29), 29)
    cfg = knn_config(
        folder, 'test', bank_dataloader=bank(333), k=(5,), chunk_size=17
    )
    cfg.test_dataloader.dataset.indices = 61
    if world > 1:
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None
        )
    return *found, DistillRunner.from_cfg(cfg).test()


def test_two_processes_equal_one(tmp_path):
    """With odd numbers, which make the sampler give a sample twice."""
    alone = share(0, 1, str(tmp_path))
    for found in run_distributed(share, 2, str(tmp_path)):
        np.testing.assert_allclose(found[0], alone[0], rtol=1e-5)
        np.testing.assert_array_equal(found[1], alone[1])
        assert found[2] == alone[2]
