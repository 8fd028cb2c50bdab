"""int4 files through the whole check: what they say, and what is said about them."""

import numpy as np
import pytest

from edgekit.check.compare import compare
from edgekit.emit.exporter import emit, float_artifact
from edgekit.emit.support import writable_formats
from edgekit.shrink.quantization.int4 import quantize_int4
from edgekit.types.artifact import with_int4_weights
from edgekit.types.recipe import FILES
from edgekit.types.sample_set import SampleSet
from tests.emit.graphs import feeds, float_graph

FORMATS = ("onnx-fp32", "onnx-int4", "tflite-int4")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder, graph, samples = tmp_path_factory.mktemp("files"), float_graph(), feeds(6)
    quantized = quantize_int4(graph, spare=0.0)
    files = [float_artifact(graph, folder / FILES["onnx-fp32"], metadata={})]
    files += [emit(quantized, folder / FILES[name], format=name, metadata={}) for name in FORMATS[1:]]
    held_back = SampleSet(np.arange(6), lambda index: samples[int(index)], "drawn")
    return compare(files, quantized=quantized, held_back=held_back, budget_seconds=2.0)


def test_both_files_run_and_say_the_same(report):
    float_entry, onnx_entry, tflite_entry = report.artifacts
    assert float_entry.artifact.format == "onnx-fp32"
    decibels = [entry.signal.outputs[0].sqnr_db for entry in (onnx_entry, tflite_entry)]
    assert decibels[0] == pytest.approx(decibels[1], abs=0.01)
    assert 10 < decibels[0] < 60
    assert not onnx_entry.error + tflite_entry.error


def test_being_no_faster_is_no_warning(report):
    codes = {finding.code: finding.severity for finding in report.findings}
    assert codes.get("int8-slower-than-float", "note") == "note"
    assert "int8-not-faster" not in codes
    assert "reference-disagrees" not in codes
    assert "files-disagree" not in codes


def test_the_formats_can_be_asked_for_and_written():
    found, notes = writable_formats(float_graph(), with_int4_weights(("onnx-fp32", "onnx-int8", "tflite-int8")))
    assert found == FORMATS
    assert notes == ()
