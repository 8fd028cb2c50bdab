"""Memory that holds what was measured and does not depend on the run; runtimes that are known to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.errors import InputError
from edgekit.pack.onnx_header import OnnxHeader
from edgekit.pack.requirements import MEBIBYTE, oldest_runtime, ram_bytes
from edgekit.pack.variants import Place

X86 = Place("onnx-x86", "onnx-x86", "amd64", "onnxruntime")


@pytest.mark.parametrize("peak_mib", [0, 60, 65.3, 70, 76])
def test_peaks_that_scatter_change_nothing(peak_mib: float) -> None:
    assert ram_bytes("onnxruntime", 93_319, round(peak_mib * MEBIBYTE)) == 81 * MEBIBYTE


@pytest.mark.parametrize(("peak_mib", "doubled"), [(81, 2), (150, 2), (200, 4)])
def test_a_peak_above_the_estimate_doubles_it(peak_mib: int, doubled: int) -> None:
    assert ram_bytes("onnxruntime", 93_319, peak_mib * MEBIBYTE) == doubled * 81 * MEBIBYTE


def test_runtimes() -> None:
    assert oldest_runtime(X86, OnnxHeader(10, 20, {})) == "1.18.1"
    assert oldest_runtime(replace(X86, format="onnx-int4"), OnnxHeader(10, 21, {})) == "1.23.2"
    assert oldest_runtime(replace(X86, format="tflite-int8"), None) == "2.0.2"
    for header in (OnnxHeader(11, 20, {}), OnnxHeader(10, 22, {})):
        with pytest.raises(InputError, match="at most"):
            oldest_runtime(X86, header)
