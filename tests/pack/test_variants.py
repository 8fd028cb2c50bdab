"""The table of variants: which machines each file is for, and the order in which a node tries them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from edgekit.pack.variants import AUDIT, ROWS, VNNI, Place, in_order, place
from edgekit.types.artifact import FORMATS
from edgekit.types.interval import Interval
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


def timed(**ratios: float | tuple[float, float]) -> dict[str, Interval | None]:
    """Variant, with _ for -, and its time: exact, or an interval around its middle."""
    ends = {name: (found, found) if isinstance(found, float) else found for name, found in ratios.items()}
    return {name.replace("_", "-"): Interval((low + high) / 2, low, high) for name, (low, high) in ends.items()}


def order(formats: Sequence[str], times: Mapping[str, Interval | None], *, first: Sequence[str] = ()) -> list[str]:
    return [each.name for each in in_order(placed(*formats), times, first=first)]


def test_the_fastest_comes_first_and_the_file_for_audits_last() -> None:
    times = timed(onnx_x86=0.6, tflite_int8_amd64=0.3, onnx_qop=0.1)
    assert order(FORMATS, times) == ["tflite-int8-amd64", "onnx-x86", "tflite-int8-arm64", "onnx-int8", "onnx-qop"]


def test_what_was_measured_comes_before_what_was_not() -> None:
    names = order(FORMATS, timed(onnx_x86=0.6, tflite_int8_amd64=0.3, onnx_int8=0.2))
    assert [name for name in names if name in ("tflite-int8-arm64", "onnx-int8")] == ["onnx-int8", "tflite-int8-arm64"]


def test_what_was_not_measured_stands_where_its_relative_does() -> None:
    formats = ("onnx-vnni", "onnx-x86", "tflite-int8")
    names = order(formats, timed(onnx_x86=0.5, tflite_int8_amd64=0.4))
    assert names == ["tflite-int8-amd64", "onnx-vnni", "onnx-x86", "tflite-int8-arm64"]


@pytest.mark.parametrize(
    ("onnx", "tflite"),
    [
        (0.500, 0.499),
        (0.500, 0.480),
        ((0.342, 0.559), (0.432, 0.548)),
        ((0.406, 0.522), (0.327, 0.504)),
    ],
    ids=["equal", "4 % apart", "EfficientNet-Lite0", "the same once more"],
)
def test_noise_does_not_change_the_order(
    onnx: float | tuple[float, float], tflite: float | tuple[float, float]
) -> None:
    """The last two are two measurements of the same files on a busy machine."""
    for one, other in ((onnx, tflite), (tflite, onnx)):
        names = order(("onnx-x86", "tflite-int8"), timed(onnx_x86=one, tflite_int8_amd64=other))
        assert names == ["onnx-x86", "tflite-int8-amd64", "tflite-int8-arm64"]


def test_what_is_clearly_faster_comes_first_also_with_noise() -> None:
    """ResNet-20 on a machine with other work."""
    times = timed(onnx_x86=(0.398, 0.462), tflite_int8_amd64=(0.347, 0.361))
    assert order(("onnx-x86", "tflite-int8"), times)[0] == "tflite-int8-amd64"


def test_one_that_is_unsure_keeps_its_place_between_others() -> None:
    formats = ("onnx-host", "onnx-x86", "tflite-int8")
    times = timed(onnx_host=(0.0, math.inf), onnx_x86=0.6, tflite_int8_amd64=0.3)
    assert order(formats, times)[:3] == ["onnx-host", "tflite-int8-amd64", "onnx-x86"]


def test_times_of_another_architecture_move_nothing() -> None:
    """onnx-x86 is behind the ARM's file, and tflite on x86 is not: between these two nothing is clear."""
    times = timed(onnx_x86=0.50, tflite_int8_amd64=0.49, onnx_int8=0.47)
    assert order(FORMATS, times)[:2] == ["onnx-x86", "tflite-int8-amd64"]


def test_the_publisher_may_put_a_format_first() -> None:
    times = timed(onnx_x86=0.5, tflite_int8_amd64=0.1)
    assert order(FORMATS, times, first=["onnx-x86"])[:2] == ["onnx-x86", "tflite-int8-amd64"]
    assert order(FORMATS, times, first=["onnx-qop", "onnx-int8"])[:3] == ["onnx-qop", "onnx-int8", "tflite-int8-amd64"]


def test_the_row_of_the_file_for_audits_runs_anywhere() -> None:
    assert ROWS[AUDIT].archs == ("any",)
