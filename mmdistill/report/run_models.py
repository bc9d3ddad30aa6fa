"""The networks of a finished run, and their images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from torch import Tensor, nn

from mmdistill.checkpoints import (
    load_file,
    load_strictly,
    loading_policy,
    state_dict_of,
)
from mmdistill.models import RepresentationReader
from mmdistill.models.dense.dense_model import DenseModel
from mmdistill.models.distillers import BaseDistiller
from mmdistill.models.distillers.preprocessor import target_images
from mmdistill.models.parts import is_encoder
from mmdistill.models.pretrained import weights_of
from mmdistill.registry import MODELS
from mmdistill.report.run_folder import RunFolder


class Models:
    """The networks of a finished run, in eval mode.

    Args:
        run: its folder.
        device: where they compute.
        model: of the config, with its teachers' weights, if there is one; it
            gets the student's. A new one is built by default.
    Attributes:
        whole: the model of the config.
        student: what was trained for use.
        teachers: frozen ones, by name.
        missing: why there is no teacher, if its file is gone.
    Raises:
        FileNotFoundError: if the run has left no weights.
        CheckpointError: if weights do not fit the config.
    """

    def __init__(
        self,
        run: RunFolder,
        device: torch.device | str,
        model: nn.Module | None = None,
    ) -> None:
        if run.weights is None:
            raise FileNotFoundError(
                f'{str(run.path)!r} has no checkpoint (student.pth, *.pth)'
            )
        with loading_policy():
            self.whole = _built(run.cfg) if model is None else model
            _load(self.whole, str(run.weights))
        self.whole.to(device).eval()
        self.device = torch.device(device)
        self.student = self.whole
        self.teachers: dict[str, nn.Module] = {}
        self.missing = ''
        if isinstance(self.whole, BaseDistiller):
            self.student = self.whole.student
            frozen = self.whole.targets.frozen
            try:
                self.whole.targets.prepare()
            except FileNotFoundError as error:
                self.missing = str(error)
            else:
                self.teachers = {name: t.model for name, t in frozen.items()}

    @property
    def by_name(self) -> dict[str, nn.Module]:
        """The student and the frozen teachers."""
        return dict(student=self.student, **self.teachers)

    @property
    def classifies(self) -> bool:
        """Whether the student says which class a whole image is."""
        return not isinstance(self.student, DenseModel) and not is_encoder(
            self.student
        )

    def reader(self, name: str) -> RepresentationReader:
        """What reads a model's answers."""
        reader = RepresentationReader(self.by_name[name], name)
        reader.classes = self._chosen(name)
        return reader

    def classes_of(self, name: str, labels: Tensor) -> Tensor:
        """Labels by the numbers that a model's own classes have, (N,)."""
        chosen = self._chosen(name)
        return labels if chosen is None else torch.as_tensor(chosen)[labels]

    def _chosen(self, name: str) -> Sequence[int] | None:
        """Which classes of a teacher are the dataset's; None if all are."""
        if name not in self.teachers:
            return None
        return self.whole.targets[name].chosen

    def inputs(self, samples: list[dict], name: str = 'student') -> Tensor:
        """Images of a model as it wants them, (N, C, H, W)."""
        batch = collated(samples)
        prepared = self.whole.data_preprocessor(batch, False)
        if name == 'student':
            return prepared['inputs'].to(self.device)
        images = target_images(
            self.whole.data_preprocessor, batch, prepared, name
        )
        return images.to(self.device)


def collated(samples: list[dict]) -> dict:
    """A batch of samples; a list of images if they differ in size."""
    shapes = {sample['inputs'].shape for sample in samples}
    return (default_collate if len(shapes) == 1 else pseudo_collate)(samples)


def _built(cfg: Config) -> nn.Module:
    config = dict(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(config)


def _load(model: nn.Module, weights: str) -> None:
    is_distiller = isinstance(model, BaseDistiller)
    load_strictly(
        model.student if is_distiller else model,
        weights_of(state_dict_of(load_file(weights), weights), 'student'),
        weights,
        'Give --config with the config of the run.',
    )
