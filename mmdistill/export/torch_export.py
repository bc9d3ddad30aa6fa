from __future__ import annotations

import io

import torch
from torch import Tensor

from mmdistill.export.deployed import Deployed
from mmdistill.export.formats import ExportOptions
from mmdistill.export.graphs import GraphFormat, any_batch, quietly
from mmdistill.registry import EXPORT_FORMATS

_BOUND = 1e-5


@EXPORT_FORMATS.register_module('torch-export')
class TorchExportFormat(GraphFormat):
    """A file of ``torch.export`` that answers as the student does."""

    suffixes = ('.pt2',)
    about = (
        'logits (no softmax) of any number of images, as a program of '
        'torch.export that torch.export.load reads'
    )

    def translate(
        self, deployed: Deployed, images: Tensor, options: ExportOptions
    ) -> bytes:
        file = io.BytesIO()
        with quietly():
            program = torch.export.export(
                deployed, (images,), dynamic_shapes=any_batch()
            )
            torch.export.save(program, file)
            file.seek(0)
            loaded = torch.export.load(file).module()
        self.compare(loaded, deployed, images, _BOUND, 'the saved program')
        return file.getvalue()
