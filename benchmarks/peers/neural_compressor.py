"""Neural Compressor 3.x has no ONNX side any more: PT2E static quantization of the torch module, exported.

The exporter leaves weights in float behind a QuantizeLinear; that is what a user gets, so that is what is scored.
"""

from __future__ import annotations

import torch
from neural_compressor.torch.export import export
from neural_compressor.torch.quantization import INT8StaticQuantConfig, convert, prepare

from benchmarks.peers.task import INPUT, Task


def compress(task: Task, setting: str) -> None:
    """Write the QDQ file."""
    assert setting == "static"
    torch.set_num_threads(1)
    example = (torch.from_numpy(next(task.samples())),)
    module = torch.load(task.float_module, weights_only=False)  # written by benchmarks.nets.catalogue
    captured = export(module, example)
    prepared = prepare(captured, INT8StaticQuantConfig(), example_inputs=example)
    with torch.no_grad():
        for sample in task.samples():
            prepared(torch.from_numpy(sample))
    quantized = convert(prepared)
    torch.onnx.export(
        quantized,
        example,
        str(task.result),
        dynamo=True,
        opset_version=21,
        input_names=[INPUT],
        output_names=["logits"],
        external_data=False,
    )
