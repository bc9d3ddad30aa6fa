"""What a format of exports is; those that there are stand in a registry."""

from __future__ import annotations

import difflib
import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import ClassVar

from mmdistill.export.deployed import prepared_as
from mmdistill.export.students import ExportError, Student, load_student
from mmdistill.registry import EXPORT_FORMATS


def _option(about: str, default: object = None):
    return field(default=default, metadata=dict(about=about))


@dataclass(frozen=True)
class ExportOptions:
    """What a user says beside the format; a format says which it takes.

    Attributes:
        arch: another library's name of the architecture.
        input_size: (height, width) of the images; what the student's config
            says when None.
        opset: version of ONNX's operators; torch's choice when None.
        with_preprocessing: take images of 0 to 255 in RGB, as float32, and
            normalize them inside.
    """

    arch: str | None = _option(
        "the library's name of the architecture, such as resnet18"
    )
    input_size: tuple[int, int] | None = _option(
        'height and width of the images'
    )
    opset: int | None = _option("version of ONNX's operators")
    with_preprocessing: bool = _option('normalization inside', False)

    def size_for(self, student: Student) -> tuple[int, int]:
        """(height, width) of a student's images.

        Raises:
            ValueError: if neither the user nor the student's config says it.
        """
        size = self.input_size or student.input_size
        if size is None:
            raise ValueError(
                "the student's config does not say how large images are; "
                'give --input-size HEIGHT WIDTH'
            )
        return tuple(size)


class ExportFormat(ABC):
    """One way to write a student, registered under the name that users give.

    Attributes:
        about: what is written and who reads it, for lists of formats.
        suffixes: what the file's name may end in.
        requires: fields of `ExportOptions` that must be given.
        takes: those that may be given besides.
        normalizes: whether the file always says how images are normalized.

    Example:
        A plug-in adds a format, and ``tools/export_student.py --import
        PLUGIN --format weights`` finds it::

            @EXPORT_FORMATS.register_module('weights')
            class WeightsFormat(ExportFormat):
                about = 'the state dict alone'

                def write(self, student, path, options):
                    atomic_save(student.model.state_dict(), path)
                    return prepared_as(student)
    """

    about: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ('.pth', '.pt')
    requires: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[str, ...]] = ()
    normalizes: ClassVar[bool] = False

    @abstractmethod
    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        """Write the file, whole or not at all, and say what it holds.

        Raises:
            ExportError: if the student cannot be exported so; nothing was
                written then.
        """


def export_student(
    checkpoint: str,
    path: str,
    name: str,
    options: ExportOptions = ExportOptions(),
    config: str | None = None,
) -> str:
    """Write a checkpoint's student in a format, and say what was written.

    Args:
        checkpoint: full checkpoint, exported student or classifier.
        path: file to write.
        name: of the format.
        options: what the format takes.
        config: config file of the training; by default the config that the
            checkpoint holds.
    Raises:
        KeyError: if there is no such format.
        ValueError: if the options do not suit the format.
        ExportError: if the student cannot be exported so.
    """
    kind = find_format(name)
    check_options(kind, name, path, options)
    student = load_student(checkpoint, config)
    inside = options.with_preprocessing or kind.normalizes
    if inside and not student.knows_preprocessing:
        raise ExportError(
            f'{checkpoint} does not say how images were normalized, which '
            f'this export has inside: {prepared_as(student)}'
        )
    return kind().write(student, path, options)


def find_format(name: str) -> type[ExportFormat]:
    """The format of a name.

    Raises:
        KeyError: if there is none; it names those that there are.
    """
    known = all_formats()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f'did you mean {near[0]}? ' if near else ''
        raise KeyError(
            f'there is no format {name!r}; {hint}there are '
            f'{", ".join(known)}; a plug-in with another is named by --import'
        )
    return known[name]


def all_formats() -> dict[str, type[ExportFormat]]:
    """Every format by its name, those of plug-ins last."""
    EXPORT_FORMATS.import_from_location()
    return dict(EXPORT_FORMATS.module_dict)


def check_options(
    kind: type[ExportFormat], name: str, path: str, options: ExportOptions
) -> None:
    """Find what does not go together before anything is loaded."""
    if not path.endswith(kind.suffixes):
        raise ValueError(
            f'OUT is {path!r} and should end in '
            f'{" or ".join(kind.suffixes)} for --format {name}'
        )
    for option in fields(options):
        flag = '--' + option.name.replace('_', '-')
        given = getattr(options, option.name)
        if option.name in kind.requires and not given:
            raise ValueError(
                f'--format {name} needs {flag}, {option.metadata["about"]}'
            )
        if given and option.name not in (*kind.requires, *kind.takes):
            raise ValueError(
                f'{flag} has no meaning for --format {name}; leave it out'
            )


def optional(name: str) -> ModuleType:
    """A package that only exports need.

    Raises:
        ModuleNotFoundError: if it is not installed; it says how to.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'this export needs {error.name}, which is not installed: '
            "pip install 'mmdistill[export]'"
        ) from error
