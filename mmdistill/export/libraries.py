"""What formats share whose file fits a network of another library."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from mmdistill.checkpoints import atomic_save
from mmdistill.export.deployed import Deployed, prepared_as, require_equal
from mmdistill.export.formats import ExportFormat, ExportOptions
from mmdistill.export.students import ExportError, Student
from mmdistill.models.matching import MatchingError, match_layers

_SAME_OUTPUT = 1e-5


class LibraryFormat(ExportFormat):
    """A state dict for a network of another library.

    Both networks see the same images, and a layer of the one is that layer of
    the other which is of the same kind and shapes and sees the same input. So
    there is no table of names, and the order of layers does not matter. Then
    a fresh network loads the result strictly, and must answer the same.

    A student without a head, such as a self-supervised encoder's backbone,
    gives its pooled features: the library's network without its classifier.
    """

    requires = ('arch',)
    takes = ('input_size',)
    library: ClassVar[str]

    @abstractmethod
    def architectures(self) -> list[str]:
        """Names of all architectures that the library has."""

    @abstractmethod
    def build(
        self, arch: str, classes: int | None, channels: int
    ) -> nn.Module:
        """The library's network; without classifier if classes is None."""

    def write(
        self, student: Student, path: str, options: ExportOptions
    ) -> str:
        size = options.size_for(student)
        state, absent = self.convert(student, options.arch, size)
        atomic_save(state, path)
        if absent:
            return (
                'the student has no classifier: build the network without '
                f'one, or load with strict=False; not in the file: {absent}; '
                f'{prepared_as(student)}'
            )
        return f'a state dict of {options.arch}; {prepared_as(student)}'

    def convert(
        self, student: Student, arch: str, size: tuple[int, int]
    ) -> tuple[dict[str, Tensor], list[str]]:
        """The student's weights under the names of the library's network.

        Args:
            student: of any architecture.
            arch: the library's name of the architecture.
            size: (height, width) of the images.
        Returns:
            the state dict; and its keys that a network with a classifier has
            more, if the student has none.
        Raises:
            ModuleNotFoundError: if the library is not installed.
            ValueError: if it has no such architecture.
            ExportError: if the architectures differ; it says where.
        """
        deployed = Deployed(student.model).eval()
        images = student.images(size)
        with torch.no_grad():
            expected = deployed(images)
        classes = expected.shape[1] if deployed.classifies else None
        self._check_name(arch)
        own = deployed.state_dict()
        name = f"{self.library}'s {arch}"
        network = self.build(arch, classes, student.channels)
        try:
            names = match_layers(deployed, network, images, name)
        except MatchingError as error:
            raise ExportError(
                f'{error}. Choose another --arch, or another --input-size; '
                'nothing was written'
            ) from error
        state = {key: own[source] for key, source in names.items()}
        network = self.build(arch, classes, student.channels)
        network.load_state_dict(state, strict=True)
        with torch.no_grad():
            actual = network.eval()(images)
        require_equal(actual, expected, _SAME_OUTPUT, name)
        absent = []
        if classes is None:
            whole = self.build(arch, 1000, student.channels)
            absent = sorted(whole.state_dict().keys() - state.keys())
        return state, absent

    def _check_name(self, arch: str) -> None:
        known = self.architectures()
        if arch in known:
            return
        near = difflib.get_close_matches(arch, known, n=5, cutoff=0.5)
        hint = f'; did you mean {" or ".join(near)}?' if near else ''
        raise ValueError(
            f'{self.library} has no architecture {arch!r}; change --arch{hint}'
        )
