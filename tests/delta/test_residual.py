"""The residual codec on real int8 files: the same bytes come out, fewer go over the line, hostile ones are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.delta.bsdiff_patch import make_bsdiff
from edgekit.delta.residual import apply_residual, make_residual, residual_memory_bytes
from edgekit.delta.residual_numbers import write_number
from edgekit.delta.spans import weights_of
from edgekit.delta.zstd_patch import make_zstd
from edgekit.errors import MalformedError
from edgekit.types.qparams import Array
from tests.delta import small_nets
from tests.delta.files import int8_model

CHANGES = {
    "recalibrated": small_nets.recalibrated,
    "trained": small_nets.trained,
    "pruned": small_nets.pruned,
    "relabelled": small_nets.relabelled,
    "unrelated": small_nets.unrelated,
}


MEASURED = """
import sys, tracemalloc
from pathlib import Path
from edgekit.delta.residual import apply_residual
old, delta = (Path(sys.argv[1], name).read_bytes() for name in ("old", "delta"))
tracemalloc.start()
apply_residual(old, delta, size_bytes=int(sys.argv[2]))
print(tracemalloc.get_traced_memory()[1])
print(*({name.partition(".")[0] for name in sys.modules} & {"onnx", "torch", "zstandard", "bsdiff4", "rich"}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Release -> folder of its files; "base" is the one before."""
    folder, base = tmp_path_factory.mktemp("nets"), small_nets.base()
    made = {"base": small_nets.write(base, folder / "base")}
    return made | {name: small_nets.write(change(base), folder / name) for name, change in CHANGES.items()}


def read(files: Mapping[str, Path], name: str) -> tuple[bytes, bytes]:
    change, file = name.split("/")
    return (files["base"] / file).read_bytes(), (files[change] / file).read_bytes()


NAMES = [f"{change}/{file}" for change in CHANGES for file in small_nets.FILES]


@pytest.mark.parametrize("name", NAMES)
def test_law_the_same_bytes_come_out(files: Mapping[str, Path], name: str) -> None:
    old, new = read(files, name)
    delta = make_residual(old, new)
    assert delta is not None
    assert apply_residual(old, delta, size_bytes=len(new)) == new
    assert apply_residual(memoryview(old), memoryview(delta), size_bytes=len(new)) == new
    assert make_residual(old, new) == delta


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(("unrelated", "relabelled"))])
def test_it_is_at_least_a_tenth_smaller_than_the_others(files: Mapping[str, Path], name: str) -> None:
    old, new = read(files, name)
    delta, others = make_residual(old, new), (make_zstd(old, new), make_bsdiff(old, new))
    assert delta is not None
    assert len(delta) < 0.9 * min(len(other) for other in others if other)


@pytest.mark.parametrize("file", small_nets.FILES)
def test_a_change_of_metadata_costs_as_much_as_its_text(files: Mapping[str, Path], file: str) -> None:
    old, new = read(files, f"relabelled/{file}")
    delta = make_residual(old, new)
    assert delta is not None
    assert len(delta) < 120, "64 of them are the digest of the recipe"


@pytest.mark.parametrize("file", small_nets.FILES)
def test_all_weights_are_found_with_what_belongs_to_them(files: Mapping[str, Path], file: str) -> None:
    data = (files["base"] / file).read_bytes()
    found = weights_of(data)
    shapes = sorted((one.rows, one.count) for one in found.values())
    assert shapes == [(10, 320), (24, 648), (32, 3072), (96, 864), (96, 2304)]
    for one in found.values():
        assert one.scales
        assert one.scales.count == one.rows
        scales = np.frombuffer(data, "<f4", one.rows, one.scales.place)
        assert ((scales > 1e-6) & (scales < 1)).all()
        assert one.bias is not None
        assert one.input_scale is not None
        values = np.frombuffer(data, np.int8, one.count, one.place).reshape(one.shape)
        assert (np.abs(values.astype(int)).max(axis=(0, 2)) > 60).all(), "every channel uses its range"
        if one.bias_scales:
            input_scale = np.frombuffer(data, "<f4", 1, one.input_scale)
            expected = (scales * input_scale).tobytes()
            assert data[one.bias_scales.place : one.bias_scales.place + 4 * one.rows] == expected


def test_what_it_has_nothing_to_say_about() -> None:
    assert make_residual(b"", b"") is None
    assert make_residual(b"some text", b"some other text") is None
    assert make_residual(int8_model(), b"TFL3" * 20) is None
    assert make_residual(int8_model(ballast=b"x" * 100), b"\x08\x00" * 60) is None


def test_other_layouts_of_onnx_too() -> None:
    """Channels last, as MatMul has them, and a tensor that is new."""
    for old, new in ((int8_model(), int8_model(trained=1)), (int8_model(ballast=b"y" * 9000), int8_model(trained=2))):
        delta = make_residual(old, new)
        assert delta is not None
        assert apply_residual(old, delta, size_bytes=len(new)) == new
        assert len(delta) < 10_000


@pytest.fixture(scope="module")
def hostile(files: Mapping[str, Path]) -> tuple[bytes, bytes, bytes]:
    """A base, a delta and what it makes."""
    old, new = read(files, "trained/model.int8.tflite")
    delta = make_residual(old, new)
    assert delta is not None
    return old, delta, new


@pytest.mark.parametrize("size", [0, 1, 1000, 10**12, -1])
def test_another_size_than_was_signed_is_refused(hostile: tuple[bytes, bytes, bytes], size: int) -> None:
    old, delta, _ = hostile
    with pytest.raises(MalformedError, match="makes a file of"):
        apply_residual(old, delta, size_bytes=size)


def test_every_cut_is_refused(hostile: tuple[bytes, bytes, bytes]) -> None:
    old, delta, new = hostile
    for end in (*range(0, 60), *range(60, len(delta), 97)):
        with pytest.raises(MalformedError):
            apply_residual(old, delta[:end], size_bytes=len(new))
    with pytest.raises(MalformedError):
        apply_residual(old, delta + b"\0", size_bytes=len(new))


def test_another_base(hostile: tuple[bytes, bytes, bytes]) -> None:
    """The node holds the base against its digest before; here it only has to end, with something of the right size."""
    old, delta, new = hostile
    for base in (b"", old[:3000], old[:-1], bytes(len(old)), bytes(reversed(old)), old + b"x" * 100):
        try:
            made = apply_residual(base, delta, size_bytes=len(new))
        except MalformedError:
            continue
        assert len(made) == len(new)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_flipped_bit_is_refused_or_changes_what_comes_out(
    hostile: tuple[bytes, bytes, bytes], data: st.DataObject
) -> None:
    old, delta, new = hostile
    place = data.draw(st.integers(0, 8 * len(delta) - 1))
    changed = bytearray(delta)
    changed[place // 8] ^= 1 << place % 8
    try:
        made = apply_residual(old, bytes(changed), size_bytes=len(new))
    except MalformedError:
        return
    assert len(made) == len(new)
    assert made != new


@given(st.binary(max_size=300), st.integers(0, 5000))
def test_any_bytes_are_refused(data: bytes, size: int) -> None:
    for delta in (data, b"EKR1" + data):
        with pytest.raises(MalformedError):
            apply_residual(b"x" * 2000, delta, size_bytes=size)


def field(number: int, content: bytes | int) -> bytes:
    """One field of a protocol buffer, its number below 16."""
    head = bytearray()
    write_number(head, number << 3 | (0 if isinstance(content, int) else 2))
    write_number(head, content if isinstance(content, int) else len(content))
    return bytes(head) + (b"" if isinstance(content, int) else content)


def by_hand(weights: Array, scales: Array, operator: str = "QLinearConv") -> bytes:
    """An .onnx file of one layer; no library has a say in its bytes."""

    def tensor(name: str, kind: int, dims: tuple[int, ...], raw: bytes) -> bytes:
        made = b"".join(field(1, size) for size in dims) + field(2, kind) + field(8, name.encode()) + field(9, raw)
        return field(5, made)

    names = ("x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b")
    node = b"".join(field(1, name.encode()) for name in names) + field(2, b"y") + field(4, operator.encode())
    axis = 1 if operator == "QLinearConv" else 0
    bias = np.arange(len(scales), dtype="<i4") * np.int32(1000) + weights.sum(axis=axis, dtype=np.int32)
    graph = field(1, node) + tensor("w", 3, weights.shape, weights.tobytes())
    graph += tensor("xs", 1, (), scales[:1].tobytes()) + tensor("ws", 1, scales.shape, scales.tobytes())
    return field(7, graph + tensor("b", 6, bias.shape, bias.tobytes()))


def kept_pair() -> tuple[bytes, bytes]:
    """Integer arithmetic alone: the same bytes with every version of numpy."""
    mixed = np.arange(30_000, dtype=np.uint64) * np.uint64(6364136223846793005) >> np.uint64(40)
    noise = mixed.astype(np.int64).reshape(100, 300)
    rows = np.arange(100)[:, None]
    old = (noise % 201 - 100).astype(np.int8)
    moved = old * (64 + rows % 7) // 64 + (noise // 512 % 5 == 0) * (1 - noise // 4096 % 2 * 2)
    moved[::9] += noise[::9] // 65536 % 40 - 20
    new = np.clip(moved, -127, 127).astype(np.int8)
    scales = (rows.ravel() + 50).astype("<f4") / np.float32(8192)
    return by_hand(old, scales), by_hand(new, scales * np.float32(1.25))


def test_the_format_and_its_arithmetic_stay_as_they_are() -> None:
    """Deltas are published: what made one today has to be read by every later version, on every machine."""
    old, new = kept_pair()
    kept = (Path(__file__).parent / "kept.residual").read_bytes()
    assert apply_residual(old, kept, size_bytes=len(new)) == new
    delta = make_residual(old, new)
    assert delta is not None
    assert len(delta) <= len(kept), "making may change, but not for the worse"


def test_it_keeps_to_the_memory_that_it_tells(files: Mapping[str, Path], tmp_path: Path) -> None:
    """As a process of its own, which imports no more than numpy and what it needs."""
    old, new = read(files, "trained/model.int8.onnx")
    delta = make_residual(old, new)
    assert delta is not None
    for name, data in (("old", old), ("delta", delta)):
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path), str(len(new))], capture_output=True, text=True, check=True
    )
    peak, heavy = done.stdout.splitlines()
    assert int(peak) < residual_memory_bytes(len(old), len(new))
    assert not heavy


@pytest.mark.parametrize("layout", ["rows first", "columns first"])
def test_a_tensor_that_is_coded_in_several_blocks(layout: str) -> None:
    random = np.random.default_rng(0)
    weights = random.integers(-90, 91, (1100, 2000)).astype(np.int8)
    moved = (weights * np.linspace(0.9, 1.1, 1100)[:, None] + random.normal(0, 0.3, weights.shape)).astype(np.int8)
    scales = random.uniform(0.01, 0.02, 1100).astype("<f4")
    operator = "QLinearConv"
    if layout == "columns first":
        operator, weights, moved = "QLinearMatMul", weights.T, moved.T
    old, new = by_hand(weights, scales, operator), by_hand(moved, scales * np.float32(1.1), operator)
    delta = make_residual(old, new)
    assert delta is not None
    assert apply_residual(old, delta, size_bytes=len(new)) == new
    assert len(delta) < 0.3 * len(new)
