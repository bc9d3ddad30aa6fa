from __future__ import annotations

import torch
from torch import Tensor

from mmdistill.export.deployed import Deployed
from mmdistill.export.formats import ExportOptions, optional
from mmdistill.export.graphs import GraphFormat, any_batch, quietly
from mmdistill.export.students import ExportError
from mmdistill.registry import EXPORT_FORMATS

_BOUND = 1e-4


@EXPORT_FORMATS.register_module('onnx')
class ONNXFormat(GraphFormat):
    """An ONNX file that onnxruntime runs as torch runs the student.

    Its input is ``images``, its output ``logits`` or ``features``.
    """

    suffixes = ('.onnx',)
    takes = (*GraphFormat.takes, 'opset')
    about = (
        'logits (no softmax) of any number of images; checked with onnxruntime'
    )

    def translate(
        self, deployed: Deployed, images: Tensor, options: ExportOptions
    ) -> bytes:
        onnx = optional('onnx')
        optional('onnxscript')
        runtime = optional('onnxruntime')
        name = 'logits' if deployed.classifies else 'features'
        try:
            with quietly():
                program = torch.onnx.export(
                    deployed,
                    (images,),
                    dynamo=True,
                    opset_version=options.opset,
                    input_names=['images'],
                    output_names=[name],
                    dynamic_shapes=any_batch(),
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

        self.compare(answer, deployed, images, _BOUND, 'onnxruntime')
        return file
