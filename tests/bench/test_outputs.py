"""Outputs of devices: equal, apart by steps, apart without a grid; and hostile files."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.bench.outputs import GoldenOutputs, compare_outputs, digest_outputs, output_scales, read_outputs
from edgekit.errors import DeviceError


def outputs(device: str, array: np.ndarray, *, scale: float | None = 0.25, **more: object) -> GoldenOutputs:
    return GoldenOutputs(
        "a", device, digest=str(array.tobytes()), samples=len(array), arrays=(array,), scales=(scale,), **more
    )  # type: ignore[arg-type]


@given(st.lists(st.integers(-128, 127), min_size=4, max_size=40), st.integers(0, 3))
def test_differences_are_counted_in_steps(integers: list[int], apart: int) -> None:
    first = np.array(integers, np.float32) * np.float32(0.25)
    moved = first.copy()
    moved[0] += np.float32(apart * 0.25)
    checks = compare_outputs([outputs("x86", first), outputs("arm", moved)])
    assert checks[0].lsb == {"0": len(integers)}
    expected = {"0": len(integers)} if apart == 0 else {"0": len(integers) - 1, str(apart): 1}
    assert checks[1].lsb == expected
    assert checks[1].equal == (apart == 0)
    assert checks[1].reference == "x86"
    assert checks[1].max_abs == pytest.approx(apart * 0.25)


def test_a_float_output_off_the_grid_has_no_steps() -> None:
    first = np.linspace(0.01, 0.99, 10, dtype=np.float32)
    check = compare_outputs([outputs("x86", first), outputs("arm", first + np.float32(0.001))])[1]
    assert check.step is None
    assert check.lsb == {}
    assert check.max_abs == pytest.approx(0.001, rel=1e-3)


def test_integers_count_by_themselves() -> None:
    assert output_scales(
        [{"dtype": "int8", "scale": 0.5}, {"dtype": "float32", "scale": 0.5}, {"dtype": "float32"}]
    ) == (1.0, 0.5, None)


def test_the_reference_is_the_first_device_that_has_outputs() -> None:
    array = np.zeros(3, np.float32)
    failed = GoldenOutputs("a", "phone", error="the runtime refuses a")
    checks = compare_outputs([failed, outputs("pi", array), outputs("jetson", array)])
    assert [check.reference for check in checks] == ["pi", "pi", "pi"]
    assert checks[0].error
    assert not checks[0].equal
    assert checks[2].equal


def test_other_shapes_are_an_error_of_the_device() -> None:
    checks = compare_outputs(
        [outputs("x86", np.zeros((2, 3), np.float32)), outputs("arm", np.zeros((2, 4), np.float32))]
    )
    assert "shapes" in checks[1].error


def test_nan_is_no_crash() -> None:
    array = np.array([0.0, np.nan, 0.25], np.float32)
    check = compare_outputs([outputs("x86", np.zeros(3, np.float32)), outputs("arm", array)])[1]
    assert not check.equal
    assert check.lsb == {"0": 1, "1": 1, "65536": 1}


def test_files_of_devices_are_read_with_care(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", output_0=np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "texts.npz", output_0=np.array(["a"]))
    np.savez(tmp_path / "names.npz", other=np.zeros(1))
    (tmp_path / "garbage.npz").write_bytes(b"PK\x03\x04 no archive")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("output_0.npy", b"\x93NUMPY nothing")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(DeviceError):
            read_outputs(path)


@pytest.mark.parametrize("scale", [10**400, float("inf"), float("nan"), -0.5, 0, True, "x", None])
def test_a_scale_that_is_none_leaves_no_steps(scale: object) -> None:
    assert output_scales([{"dtype": "float32", "scale": scale}]) == (None,)


def test_the_digest_is_that_of_the_bytes_in_order() -> None:
    first, second = np.arange(6, dtype=np.int8).reshape(2, 3), np.ones(2, np.float32)
    expected = hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    assert digest_outputs((first, second)) == expected
    assert digest_outputs((first.T, second)) != expected
