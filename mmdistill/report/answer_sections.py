"""Parts of the page on what student and teacher say about images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from mmdistill.report.answers import Seen
from mmdistill.report.comparisons import (
    class_correlation,
    confusion,
    divergence,
    flat_map,
    largest_pairs,
)
from mmdistill.report.drawing import matrix, scatter
from mmdistill.report.grad_cam import grad_cam, overlaid
from mmdistill.report.page import Picture, Section, Table, thumbnail
from mmdistill.report.run_models import Models

Sample = Callable[[int], dict]
#: Classes up to which a matrix can be read.
_READABLE = 100
_SHOWN = 18  # images on which models disagree
_EXPLAINED = 6  # images with Grad-CAM
_MAPPED = 300  # images of t-SNE, whose time grows with their square


def confusions(models: Models, seen: Seen, sample: Sample) -> Section:
    """Which classes are confused by the one and not by the other."""
    count = seen.models['student'].logits.shape[1]
    of = {
        name: confusion(seen.labels, answers.chosen, count)
        for name, answers in seen.models.items()
    }
    accuracies = ', '.join(
        f'{name} {answers.accuracy(seen.labels):.2f} %'
        for name, answers in seen.models.items()
    )
    about = (
        f'On {len(seen.labels)} of the {seen.total} images of the validation '
        f'set, drawn at random: {accuracies}.'
    )
    names = [seen.name(i) for i in range(count)]
    if seen.teacher is None:
        title, values = 'What the student confuses', of['student']
        caption = 'Percent of the images of a class that are taken for it.'
        head = ['class', 'is taken for', '% of its images']
        form = '{:.1f}'
    else:
        title = f'Where student and {seen.teacher} differ'
        values = of['student'] - of[seen.teacher]
        same = float(
            (seen.models['student'].chosen == seen.models[seen.teacher].chosen)
            .float()
            .mean()
        )
        about += f' They say the same of {100 * same:.1f} % of the images.'
        caption = (
            f'Student minus {seen.teacher}, in percent of the images of a '
            'class; red: the student says so more often.'
        )
        head = ['class', 'is taken for', 'student minus teacher, %']
        form = '{:+.1f}'
    rows = [
        [names[i], names[j], form.format(value)]
        for i, j, value in largest_pairs(values)
    ]
    section = Section(title, about, tables=[Table(head, rows)] if rows else [])
    if count <= _READABLE:
        axes = 'class', 'is taken for'
        signed = seen.teacher is not None
        section.pictures.append(matrix(values, caption, names, axes, signed))
    return section


def disagreements(models: Models, seen: Seen, sample: Sample) -> Section:
    """Images on which the two disagree, or the student is wrong."""
    student = seen.models['student'].probabilities
    if seen.teacher is None:
        title = 'Mistakes of which the student is surest'
        about = 'There is no teacher to compare it with.'
        wrong = student.argmax(1) != seen.labels
        order = (student.amax(1) * wrong).argsort(descending=True)
        order = order[: int(wrong.sum())]
    else:
        title = f'Images on which student and {seen.teacher} disagree most'
        teacher = seen.models[seen.teacher].probabilities
        apart = divergence(student, teacher)
        about = (
            'By the Jensen-Shannon divergence of what they answer, in bits; '
            f'its mean over all images is {float(apart.mean()):.3f}.'
        )
        order = apart.argsort(descending=True)
    pictures = [
        thumbnail(seen.images[i], _said(seen, i))
        for i in order[:_SHOWN].tolist()
    ]
    if not pictures:
        about = 'It has made none on the images it was shown.'
    return Section(title, about, thumbnails=pictures)


def features(models: Models, seen: Seen, sample: Sample) -> Section:
    """t-SNE of the features that the classifiers see."""
    labels = seen.labels[:_MAPPED].numpy()
    count = seen.models['student'].logits.shape[1]
    names = [seen.name(i) for i in range(count)]
    section = Section(
        'Features',
        f't-SNE of what the last layer sees, of {len(labels)} images, in the '
        'colors of their classes. What lies close together is alike; '
        'distances between groups mean little.',
    )
    for name, answers in seen.models.items():
        if answers.feature is None:
            section.about += f' The {name} has no feature.'
            continue
        try:
            points = flat_map(answers.feature[:_MAPPED])
        except ValueError as error:
            section.about += f' There is none of the {name}: {error}.'
            continue
        section.pictures.append(scatter(points, labels, name, names))
    return section


def correlations(models: Models, seen: Seen, sample: Sample) -> Section:
    """Whether the student knows which classes resemble each other."""
    of = {
        name: class_correlation(answers.logits)
        for name, answers in seen.models.items()
    }
    count = len(of['student'])
    names = [seen.name(i) for i in range(count)]
    title = 'How classes resemble each other'
    axes = 'class', 'class'
    if seen.teacher is None:
        about = 'Correlation of the logits of classes over the images.'
        picture = matrix(of['student'], 'student', names, axes)
        return Section(title, about, [picture])
    difference = of[seen.teacher] - of['student']
    off = difference[~np.eye(count, dtype=bool)]
    about = (
        'Correlation of the logits of classes over the images, '
        f'{seen.teacher} minus student: white is where the student has taken '
        'over what the teacher knows of how classes resemble each other. The '
        'mean magnitude of the difference is '
        f'{np.abs(off).mean() if len(off) else 0:.3f}.'
    )
    caption = f'{seen.teacher} minus student'
    return Section(title, about, [matrix(difference, caption, names, axes)])


def grad_cams(models: Models, seen: Seen, sample: Sample) -> Section:
    """Grad-CAM of both for the labels of some images."""
    section = Section(
        'What speaks for a class',
        'Grad-CAM for the label: bright is what speaks for it.',
    )
    order = _interesting(seen)
    rows: list[list[Picture]] = [
        [thumbnail(seen.images[i], _said(seen, i))] for i in order
    ]
    for name in seen.models:
        labels = models.classes_of(name, seen.labels[order])
        labels = labels.to(models.device)
        images = models.inputs([sample(seen.index[i]) for i in order], name)
        try:
            heats = grad_cam(models.by_name[name], images, labels)
        except ImportError:
            section.about = (
                'Grad-CAM needs captum, which is not installed: pip install '
                "'mmdistill[report]'."
            )
            return section
        except (RuntimeError, ValueError) as error:
            section.about += f' The {name} has none: {error}.'
            continue
        for row, i, heat in zip(rows, order, heats, strict=True):
            picture = overlaid(seen.images[i], heat)
            row.append(thumbnail(picture, [name]))
    section.groups = [row for row in rows if len(row) > 1]
    return section


def _interesting(seen: Seen) -> list[int]:
    """Half of the images where they disagree most, and some others."""
    others = list(range(len(seen.labels)))
    if seen.teacher is None:
        return others[:_EXPLAINED]
    apart = divergence(
        seen.models['student'].probabilities,
        seen.models[seen.teacher].probabilities,
    )
    most = torch.topk(apart, min(_EXPLAINED // 2, len(apart))).indices.tolist()
    rest = [i for i in others if i not in most]
    return most + rest[: _EXPLAINED - len(most)]


def _said(seen: Seen, i: int) -> list[str]:
    """The label of an image and what the models say, as lines."""
    lines = [f'label: {seen.name(int(seen.labels[i]))}']
    for name, answers in seen.models.items():
        chosen = int(answers.chosen[i])
        sure = 100 * float(answers.probabilities[i, chosen])
        lines.append(f'{name}: {seen.name(chosen)}, {sure:.0f} %')
    return lines
