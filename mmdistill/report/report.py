"""Make the page: every part by itself, so that none can spoil the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import Dataset

from mmdistill.checkpoints import replacing
from mmdistill.report import answer_sections, run_sections
from mmdistill.report.answers import Seen, see
from mmdistill.report.page import Section, rendered
from mmdistill.report.run_folder import RunFolder, read_run
from mmdistill.report.run_models import Models

#: Parts that need what the models say about images.
_OF_ANSWERS = (
    ('Where teacher and student differ', answer_sections.confusions),
    ('Images on which they disagree most', answer_sections.disagreements),
    ('Features', answer_sections.features),
    ('How classes resemble each other', answer_sections.correlations),
    ('What speaks for a class', answer_sections.grad_cams),
)


def make_report(
    work_dir: str | Path,
    out: str | Path | None = None,
    baseline: str | Path | None = None,
    config: str | Path | None = None,
    images: int = 1000,
    seconds: float = 20.0,
    device: torch.device | str | None = None,
    model: nn.Module | None = None,
    dataset: Dataset | None = None,
) -> Path:
    """Write one HTML page on a finished run, which needs no other file.

    A part that cannot be made says why; the others are made.

    Args:
        work_dir: of the run.
        out: file to write; ``report.html`` in the work folder by default.
        baseline: work folder of the student alone, for the table of results.
        config: config of the training; by default the one in the folder.
        images: of the validation set, at most, which the models are shown.
        seconds: after which they are shown no more.
        device: where the models compute; a GPU if there is one.
        model: of the config, with its teachers' weights, if there is one: it
            is left with the weights of the run's best student.
        dataset: the validation set, if it is there already.
    Returns:
        the file.
    Raises:
        FileNotFoundError: if a folder is none, or has no config.
    """
    run = read_run(work_dir, config)
    other = None if baseline is None else read_run(baseline)
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    made = _parts(run, other, images, seconds, device, model, dataset)
    out = Path(out or run.path / 'report.html')
    page = rendered(
        f'Report of {run.path.absolute().name}',
        run_sections.lead(run),
        list(made),
    )
    with replacing(out) as file:
        file.write(page.encode())
    return out


def _parts(
    run: RunFolder,
    other: RunFolder | None,
    images: int,
    seconds: float,
    device: torch.device | str,
    model: nn.Module | None,
    dataset: Dataset | None,
) -> Iterable[Section]:
    models, why = None, ''
    try:
        models = Models(run, device, model)
        why = models.missing
    except Exception as error:
        why = _told('the models', error)
    yield _part(
        'Results', lambda: run_sections.results(run, other, models), why
    )
    yield _part('Curves', lambda: run_sections.curves(run, other))
    if models is not None:
        shown: tuple[Seen, Callable] | None = None
        if models.classifies:
            try:
                shown = see(models, run, images, seconds, dataset)
            except Exception as error:
                why = _told('what the models say', error)
                yield Section('What the models say', why)
        if shown is not None:
            yield from _of_answers(models, *shown)
        yield _part('Cost', lambda: run_sections.costs(models, run, shown))
    yield Section('Config', text=run.cfg.pretty_text)


def _of_answers(
    models: Models, seen: Seen, sample: Callable[[int], dict]
) -> Iterable[Section]:
    for title, make in _OF_ANSWERS:
        yield _part(title, lambda make=make: make(models, seen, sample))


def _part(title: str, make: Callable[[], Section], more: str = '') -> Section:
    try:
        section = make()
    except Exception as error:
        section = Section(title, _told(title, error))
    if more:
        section.about = f'{section.about}\n{more}'.strip()
    return section


def _told(what: str, error: Exception) -> str:
    """Why a part is not there, for the page and for the log."""
    kind = type(error).__name__
    print_log(
        f'the report is without {what!r}: {kind}: {error}',
        logger='current',
        level=logging.WARNING,
    )
    return f'This is not there: {error} ({kind}).'
