"""The table of variants: which machines each file is for, and the order in which a node tries them."""

from __future__ import annotations

import pytest

from edgekit.pack.variants import AUDIT, ROWS, VNNI, Place, in_order, place
from edgekit.types.artifact import FORMATS
from edgekit.types.manifest import VARIANT_NAME
from edgekit.types.recipe import FILES


def placed(*formats: str, host: str = "amd64", isa: tuple[str, ...] = ("avx2",), pair_safe: bool = True) -> list[Place]:
    return list(place(formats, host_arch=host, host_isa=isa, is_pair_safe=pair_safe))


def kinds(places: list[Place]) -> list[tuple[str, str]]:
    return [(each.format, each.arch) for each in places]


def test_every_format_that_compress_writes_has_a_line() -> None:
    assert set(ROWS) == set(FILES)


def test_what_compress_writes_by_default() -> None:
    assert kinds(placed(*FORMATS)) == [
        ("onnx-x86", "amd64"),
        ("tflite-int8", "amd64"),
        ("tflite-int8", "arm64"),
        ("onnx-int8", "arm64"),
        ("onnx-qop", "any"),
    ]


def test_names_are_unique_and_allowed() -> None:
    names = [each.name for each in placed(*ROWS)]
    assert len(set(names)) == len(names)
    assert all(VARIANT_NAME.fullmatch(name) for name in names)


def test_the_float_file_is_the_last_resort() -> None:
    assert kinds(placed("onnx-fp32")) == [("onnx-fp32", "any")]
    assert "onnx-fp32" not in {format for format, _ in kinds(placed("onnx-fp32", "onnx-int4"))}


def test_the_canonical_file_serves_x86_only_where_nothing_else_does() -> None:
    assert kinds(placed("onnx-fp32", "onnx-int8")) == [("onnx-int8", "arm64"), ("onnx-int8", "amd64")]
    assert kinds(placed("onnx-int8", "onnx-arm", "onnx-x86")) == [("onnx-x86", "amd64"), ("onnx-arm", "arm64")]


def test_vnni_is_asked_for_where_older_cpus_saturate() -> None:
    assert placed("onnx-vnni")[0].isa_any == VNNI
    assert placed("onnx-x86")[0].isa_any == ()
    assert placed("onnx-x86", pair_safe=False)[0].isa_any == VNNI


@pytest.mark.parametrize("host", ["amd64", "arm64", ""])
def test_the_file_for_this_machine_asks_for_all_that_it_has(host: str) -> None:
    places = placed("onnx-host", host=host, isa=("avx2", "fma"))
    assert kinds(places) == ([("onnx-host", host)] if host else [])
    assert all(each.isa == ("avx2", "fma") for each in places)


def test_accelerators_go_by_their_providers() -> None:
    assert {each.format: each.provider for each in placed("onnx-qnn", "onnx-tensorrt")} == {
        "onnx-tensorrt": "tensorrt",
        "onnx-qnn": "qnn",
    }


def test_the_fastest_comes_first_and_the_file_for_audits_last() -> None:
    places = place(FORMATS, host_arch="amd64", host_isa=(), is_pair_safe=True)
    ratios: dict[str, float | None] = {"onnx-x86": 0.6, "tflite-int8-amd64": 0.3, "onnx-qop": 0.1}
    names = [each.name for each in in_order(places, ratios)]
    assert names == ["tflite-int8-amd64", "onnx-x86", "tflite-int8-arm64", "onnx-int8", "onnx-qop"]
    assert next(each.name for each in in_order(places, {**ratios, "onnx-int8": 0.2})) == "onnx-int8"


def test_what_was_not_measured_stands_where_its_relative_does() -> None:
    places = place(("onnx-vnni", "onnx-x86", "tflite-int8"), host_arch="amd64", host_isa=(), is_pair_safe=True)
    ratios: dict[str, float | None] = {"onnx-x86": 0.5, "tflite-int8-amd64": 0.4}
    names = [each.name for each in in_order(places, ratios)]
    assert names == ["tflite-int8-amd64", "onnx-vnni", "onnx-x86", "tflite-int8-arm64"]


def test_the_row_of_the_file_for_audits_runs_anywhere() -> None:
    assert ROWS[AUDIT].archs == ("any",)
