"""Parts of the page on a run as a whole: results, curves, cost."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmdistill.report.answers import Seen
from mmdistill.report.cost import Cost, cost_of
from mmdistill.report.drawing import lines
from mmdistill.report.page import Section, Table
from mmdistill.report.run_folder import RunFolder, metric_names
from mmdistill.report.run_models import Models

_SPEED = ('images_per_second', 'data_wait')
#: Numbers of a training record that are no losses.
_NO_LOSSES = {*_SPEED, 'lr', 'time', 'data_time', 'epoch', 'iter', 'step'}
_NO_LOSSES |= {'memory', 'grad_norm', 'momentum', 'loss'}


def lead(run: RunFolder) -> str:
    """What the run is, in a sentence or two."""
    model = run.cfg.model
    text = f'{model.get("type")}'
    losses = model.get('losses') or {}
    if losses:
        kinds = (f'{name} ({loss.type})' for name, loss in losses.items())
        text += f' with {", ".join(kinds)}'
    if run.training:
        text += f'. {run.training[-1].get("iter", 0)} steps'
    if run.weights is not None:
        text += f'; the student here is {run.weights.name}'
    return f'{text}.'


def results(
    run: RunFolder, other: RunFolder | None, models: Models | None
) -> Section:
    """The metric of student and teacher, and of the student alone."""
    metric = run.metric
    if metric is None:
        return Section('Results', 'The run has not validated.')
    rows = [_result('student', run.values(metric), run, models)]
    if other is not None:
        alone = other.values(metric)
        rows.append(_result('student alone', alone, other, None))
        if alone and run.values(metric):
            gain = run.values(metric)[-1] - alone[-1]
            rows[0][3] = f'{gain:+.2f}'
    teachers = run.of_teachers(metric)
    if models:
        # Those that were not tested before training have no value.
        teachers = dict.fromkeys(models.teachers, '') | teachers
    for teacher, name in teachers.items():
        rows.append(_result(teacher, run.values(name)[-1:], run, models))
    about = f'{metric} on the validation set.'
    if other is None:
        about += (
            ' The student alone is not known here: give its work folder as '
            'the baseline (--baseline).'
        )
    head = ['model', 'last', 'best', 'gain over alone', 'parameters', 'from']
    return Section('Results', about, tables=[Table(head, rows)])


def _result(
    name: str, values: list[float], run: RunFolder, models: Models | None
) -> list[str]:
    network = models.by_name.get(name) if models else None
    count = '' if network is None else f'{_parameters(network):,}'
    last = f'{values[-1]:.2f}' if values else ''
    best = f'{run.best(values):.2f}' if len(values) > 1 else last
    source = str(run.path)
    if models and name in models.teachers:
        source = str(models.whole.targets[name].ckpt or '')
    return [name, last, best, '', count, source]


def curves(run: RunFolder, other: RunFolder | None) -> Section:
    """Losses and metrics over training."""
    section = Section('Curves')
    if not run.training:
        section.about = 'The work folder has no record of training.'
        return section
    total = {'loss': _points(run.training, 'loss', 'iter')}
    parts = [
        name
        for name in dict.fromkeys(key for r in run.training for key in r)
        if name not in _NO_LOSSES and not name.endswith('lr')
    ]
    losses = [name for name in parts if '/' not in name]
    by_name = total if total['loss'] else {}
    by_name |= {n: _points(run.training, n, 'iter') for n in losses}
    by_name = {n: points for n, points in by_name.items() if points}
    if by_name:
        positive = all(y > 0 for p in by_name.values() for _, y in p)
        caption = 'Losses: the total and its parts, means of ten steps.'
        section.pictures.append(lines(by_name, 'step', caption, positive))
    section.pictures += _metrics(run, other)
    rate = {'lr': _points(run.training, 'lr', 'iter')}
    if rate['lr']:
        section.pictures.append(lines(rate, 'step', 'Learning rate.'))
    return section


def _metrics(run: RunFolder, other: RunFolder | None) -> list:
    """The metric that decides, with those to compare it with."""
    if run.metric is None:
        return []
    metric = run.metric
    name = f'student, {metric}'
    found = {name: _points(run.validation, metric, 'step')}
    if other is not None:
        alone = _points(other.validation, metric, 'step')
        found |= {'student alone': alone} if alone else {}
    for teacher, key in run.of_teachers(metric).items():
        found[teacher] = _points(run.validation, key, 'step')
    pictures = [
        lines(
            found,
            _validation_unit(run),
            f'{metric} of the validation set.',
            dashed=[n for n in found if n != name],
        )
    ]
    more = [n for n in metric_names(run.validation) if n != metric]
    rest = {n: _points(run.validation, n, 'step') for n in more}
    rest = {n: points for n, points in rest.items() if points}
    if rest:
        caption = 'Other metrics of the validation set.'
        pictures.append(lines(rest, _validation_unit(run), caption))
    return pictures


def _validation_unit(run: RunFolder) -> str:
    return 'epoch' if run.cfg.get('train_cfg', {}).get('by_epoch') else 'step'


def _points(records: list[dict], y: str, x: str) -> list[tuple[float, float]]:
    return [
        (r[x], r[y])
        for r in records
        if x in r
        and isinstance(r.get(y), (int, float))
        and math.isfinite(r[y])
    ]


def costs(
    models: Models, run: RunFolder, shown: tuple[Seen, object] | None
) -> Section:
    """Parameters, FLOPs and time of student and teachers."""
    rows, whole, unsized, said = [], True, False, []
    for name, network in models.by_name.items():
        image = _image(models, run, shown, name)
        answers, is_whole = _run_of(network, models.classifies)
        whole = whole and is_whole
        try:
            cost = cost_of(network, image, answers)
        except (AttributeError, NotImplementedError, RuntimeError) as error:
            said.append(f'{name} was not run: {error}')
            cost = Cost(_parameters(network))
        rows.append([name, *_texts(cost, image)])
        unsized = unsized or image is None
    about = 'Of one image; an addition and a multiplication are two FLOPs.'
    if not whole:
        about += ' FLOPs and time are those of the backbone.'
    about += f' Time: median, {_device(models.device)}.'
    if unsized:
        about = 'Parameters alone: the config names no size of images.'
    about = '\n'.join([about, *said])
    head = ['model', 'parameters', 'FLOPs', 'time', 'image']
    return Section('Cost', about, tables=[Table(head, rows)])


def _texts(cost: Cost, image: Tensor | None) -> list[str]:
    flops = '' if cost.flops is None else f'{cost.flops / 1e6:,.1f} M'
    if cost.flops is not None and cost.flops >= 1e9:
        flops = f'{cost.flops / 1e9:,.2f} G'
    time = '' if cost.seconds is None else f'{1000 * cost.seconds:.2f} ms'
    size = '' if image is None else ' x '.join(map(str, image.shape[1:]))
    return [f'{cost.parameters:,}', flops, time, size]


def _run_of(network: nn.Module, classifies: bool):
    """What is run of a network, and whether that is all of it."""
    if classifies:
        return lambda image: network(image, mode='tensor'), True
    return getattr(network, 'backbone', network), False


def _image(
    models: Models,
    run: RunFolder,
    shown: tuple[Seen, object] | None,
    name: str,
) -> Tensor | None:
    """An image as a model gets it; of random numbers if only a size is known.

    None if nobody says how large images are.
    """
    if shown is not None:
        seen, sample = shown
        return models.inputs([sample(seen.index[0])], name)[:1]
    size = run.cfg.model.get('input_size')
    if size is None:
        return None
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, *size, generator=generator).to(models.device)


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _device(device: torch.device) -> str:
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f'{threads} thread{"s" * (threads > 1)} of a CPU'
