"""The figures of the page, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmdistill.report.page import Picture, drawn, new_figure

#: Classes whose names fit beside a matrix.
_NAMED = 20


def lines(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    x: str,
    caption: str,
    log: bool = False,
    dashed: Sequence[str] = (),
) -> Picture:
    """Curves by name, each a list of points.

    Args:
        curves: by name.
        x: what the horizontal axis is.
        caption: of the picture.
        log: logarithmic vertical axis.
        dashed: names of curves that are only there for comparison.
    """
    figure, axes = new_figure()
    for name, points in curves.items():
        style = '--' if name in dashed else '-'
        mark = '.' if len(points) < 30 else None
        axes.plot(
            *zip(*points, strict=True), style, marker=mark, label=name, lw=1.4
        )
    axes.set(xlabel=x, yscale='log' if log else 'linear')
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return drawn(figure, caption)


def matrix(
    values: np.ndarray,
    caption: str,
    names: Sequence[str],
    axes_are: tuple[str, str],
    signed: bool = True,
) -> Picture:
    """A square matrix in colors; white is zero if it is signed.

    Args:
        values: (K, K).
        caption: of the picture.
        names: of the classes.
        axes_are: what rows and columns are.
        signed: red above zero, blue below.
    """
    figure, axes = new_figure(5.0, 4.2)
    largest = float(np.abs(values).max()) or 1.0
    image = axes.imshow(
        values,
        cmap='RdBu_r' if signed else 'Blues',
        vmin=-largest if signed else 0,
        vmax=largest,
        interpolation='nearest',
    )
    figure.colorbar(image, shrink=0.8)
    axes.set(ylabel=axes_are[0], xlabel=axes_are[1])
    if len(values) <= _NAMED:
        places = range(len(values))
        axes.set_xticks(places, names, rotation=90, fontsize=7)
        axes.set_yticks(places, names, fontsize=7)
    return drawn(figure, caption)


def scatter(
    points: np.ndarray,
    labels: np.ndarray,
    caption: str,
    names: Sequence[str],
) -> Picture:
    """Points of a plane in the colors of their classes.

    Args:
        points: (N, 2); labels: (N,).
        caption: of the picture.
        names: of the classes.
    """
    figure, axes = new_figure(5.0, 4.2)
    colors = 'tab10' if len(names) <= 10 else 'tab20'
    if len(names) > _NAMED:
        colors = 'gist_rainbow'
    drawn_points = axes.scatter(
        *points.T,
        c=labels,
        s=9,
        cmap=colors,
        vmin=-0.5,
        vmax=max(len(names), 10) - 0.5,
    )
    if len(names) <= 10:
        handles, _ = drawn_points.legend_elements(num=range(len(names)))
        there = [names[i] for i in np.unique(labels)]
        axes.legend(
            handles[: len(there)],
            there,
            fontsize=7,
            loc='center left',
            bbox_to_anchor=(1, 0.5),
        )
    axes.set(xticks=[], yticks=[])
    return drawn(figure, caption)
