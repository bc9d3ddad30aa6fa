"""Students as graphs: ONNX and torch.export, with any number of images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mmdistill.export.layouts import optional
from mmdistill.export.students import (
    Deployed,
    ExportError,
    require_equal,
)

_ONNX_BOUND = 1e-4
_TORCH_BOUND = 1e-5
_COUNTS = (1, 3)  # images in the batches that are compared; traced are 2


def to_onnx(
    deployed: Deployed, images: Tensor, opset: int | None = None
) -> bytes:
    """An ONNX file that onnxruntime runs as torch runs the student.

    Its input is ``images``, its output ``logits`` or ``features``.

    Args:
        deployed: in eval mode.
        images: (2, C, H, W) to trace with.
        opset: version of the operators; torch's own choice when None.
    Raises:
        ModuleNotFoundError: if a package is missing.
        ExportError: if torch cannot translate the student, or onnxruntime
            answers otherwise.
    """
    onnx = optional('onnx')
    optional('onnxscript')
    runtime = optional('onnxruntime')
    try:
        with _quietly():
            program = torch.onnx.export(
                deployed,
                (images,),
                dynamo=True,
                opset_version=opset,
                input_names=['images'],
                output_names=['logits' if deployed.classifies else 'features'],
                dynamic_shapes=_any_batch(),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(
            f'torch cannot translate this student to ONNX: {error}'
        ) from error
    file = program.model_proto.SerializeToString()
    onnx.checker.check_model(file, full_check=True)
    session = runtime.InferenceSession(
        file, providers=['CPUExecutionProvider']
    )

    def answer(batch: Tensor) -> Tensor:
        (output,) = session.run(None, {'images': batch.numpy()})
        return torch.from_numpy(output)

    _compare(answer, deployed, images, _ONNX_BOUND, 'onnxruntime')
    return file


def to_torch_export(deployed: Deployed, images: Tensor) -> bytes:
    """A file of ``torch.export`` that answers as the student does.

    Args:
        deployed: in eval mode.
        images: (2, C, H, W) to trace with.
    Raises:
        ExportError: if it is read back and answers otherwise.
    """
    file = io.BytesIO()
    with _quietly():
        program = torch.export.export(
            deployed, (images,), dynamic_shapes=_any_batch()
        )
        torch.export.save(program, file)
        file.seek(0)
        loaded = torch.export.load(file).module()
    _compare(loaded, deployed, images, _TORCH_BOUND, 'the saved program')
    return file.getvalue()


def _any_batch() -> dict:
    return dict(images={0: torch.export.Dim('batch')})


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's warnings about its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


@torch.no_grad()
def _compare(
    answer: Callable[[Tensor], Tensor],
    deployed: Deployed,
    images: Tensor,
    bound: float,
    what: str,
) -> None:
    """Refuse an answer that is not the student's, for any number of images."""
    for count in _COUNTS:
        batch = images[:1].repeat(count, 1, 1, 1)
        batch[-1] = images[1]
        require_equal(answer(batch), deployed(batch), bound, what)
