"""The whole page, of every kind of run."""

import re
import sys

import pytest
from helpers import crops_config, digits_config, distiller, tiny_encoder
from transfer import vit

from mmdistill.engine.runner import DistillRunner
from mmdistill.report import make_report
from mmdistill.report.run_folder import read_run


def text(page):
    """What a page says, without pictures, styles and config."""
    page = re.sub(r'<(pre|style|nav).*?</\1>', '', page, flags=re.S)
    return re.sub(r'\s+', ' ', re.sub('<[^>]*>', ' ', page))


def titles(page):
    return re.findall('<h2>(.*?)</h2>', page)


def test_a_distillation_against_the_student_alone(distilled, alone, tmp_path):
    out = make_report(distilled, tmp_path / 'page.html', baseline=alone)
    page = out.read_text()
    assert titles(page) == [
        'Results', 'Curves', 'Where student and teacher differ',
        'Images on which student and teacher disagree most', 'Features',
        'How classes resemble each other', 'What speaks for a class', 'Cost',
        'Config',
    ]  # fmt: skip
    assert 'is not there' not in text(page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    run, other = read_run(distilled), read_run(alone)
    last, alones = (r.values('accuracy/top1')[-1] for r in (run, other))
    assert f'{last:.2f}' in text(page) and f'{alones:.2f}' in text(page)
    assert f'{last - alones:+.2f}' in text(page)
    assert page.count('<img') >= 3 + 1 + 18 + 2 + 1 + 18
    assert 'labelled_per_class' not in page
    assert 'OfflineDistiller' in page


def test_a_plain_run_and_the_place_of_the_page(alone):
    out = make_report(alone)
    assert out == alone / 'report.html'
    said = text(out.read_text())
    assert 'There is no teacher to compare it with' in said
    assert '--baseline' in said and 'is not there' not in said


def test_a_student_of_tokens_has_no_cam(tmp_path):
    cfg = digits_config(tmp_path)
    cfg.model.student = vit()
    cfg.default_hooks.export_student = dict(type='ExportStudentHook')
    DistillRunner.from_cfg(cfg).train()
    said = text(make_report(tmp_path).read_text())
    assert 'The student has none: it works on tokens' in said


def test_an_encoder_has_curves_and_cost(tmp_path):
    model = distiller(
        'OfflineDistiller',
        student=tiny_encoder(),
        teacher=tiny_encoder(),
        losses=dict(own=dict(type='FeatureRegressionLoss')),
        task_weight=0.0,
    )
    cfg = crops_config(tmp_path, model)
    cfg.default_hooks.export_student = dict(
        type='ExportStudentHook', metric='knn/top1_k20'
    )
    DistillRunner.from_cfg(cfg).train()
    page = make_report(tmp_path).read_text()
    assert titles(page) == ['Results', 'Curves', 'Cost', 'Config']
    said = text(page)
    assert 'knn/top1_k20' in said and '1 x 8 x 8' in said
    assert 'those of the backbone' in said


def test_a_part_that_cannot_be_made_says_why(distilled, tmp_path):
    cfg = read_run(distilled).cfg
    cfg.val_dataloader.dataset.split = 'nothing'
    cfg.dump(tmp_path / 'other.py')
    out = make_report(
        distilled, tmp_path / 'page.html', config=tmp_path / 'other.py'
    )
    page = out.read_text()
    assert 'This is not there' in text(page)
    assert 'Curves' in titles(page) and 'Config' in titles(page)


def test_without_captum_it_says_what_to_install(
    distilled, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, 'captum.attr', None)
    page = make_report(distilled, tmp_path / 'page.html').read_text()
    assert 'Grad-CAM needs captum' in text(page)
    assert 'mmdistill[report]' in page and 'Cost' in titles(page)


def test_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder'):
        make_report(tmp_path / 'nowhere')
