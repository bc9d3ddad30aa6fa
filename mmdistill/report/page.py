"""The page: sections of text, pictures and tables, as one HTML file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from matplotlib.figure import Figure
from PIL import Image


@dataclass
class Picture:
    """A picture with its caption.

    Attributes:
        uri: the picture itself, as a data URI.
        caption: lines of text below it; also what those who do not see it
            are told.
    """

    uri: str
    caption: Sequence[str]


@dataclass
class Table:
    """A table: names of columns, and rows of texts."""

    head: Sequence[str]
    rows: list[Sequence[str]]


@dataclass
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        about: what it shows, in sentences; or why there is nothing.
        pictures, thumbnails, tables: what it shows.
        groups: thumbnails that stand side by side.
        text: something long, folded away, as it is.
    """

    title: str
    about: str = ''
    pictures: list[Picture] = field(default_factory=list)
    thumbnails: list[Picture] = field(default_factory=list)
    groups: list[list[Picture]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    text: str = ''


def rendered(title: str, about: str, sections: Sequence[Section]) -> str:
    """The page as HTML that needs no other file and no network."""
    template = Path(__file__).with_name('page.html').read_text('utf-8')
    environment = Environment(autoescape=True, trim_blocks=True)
    return environment.from_string(template).render(
        title=title, about=about, sections=sections
    )


def drawn(figure: Figure, caption: str) -> Picture:
    """A figure of matplotlib as a picture of the page."""
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=130)
    return Picture(_uri(file), [caption])


def thumbnail(image: np.ndarray, caption: Sequence[str]) -> Picture:
    """An image as a small picture of the page.

    Args:
        image: (H, W, 3) uint8, RGB.
        caption: lines.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, format='png')
    return Picture(_uri(file), caption)


def new_figure(width: float = 5.0, height: float = 3.6) -> tuple[Figure, Any]:
    """A figure without pyplot, which would keep it, and its axes."""
    figure = Figure(figsize=(width, height), layout='constrained')
    return figure, figure.subplots()


def _uri(file: io.BytesIO) -> str:
    code = base64.b64encode(file.getvalue()).decode()
    return f'data:image/png;base64,{code}'
