"""LiteRT as a session: borders, dtypes, taps, and files that are not what they seem."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.emit.tflite import export
from edgekit.errors import InputError, ModelLoadError
from edgekit.runtime.flatbuffer import metadata_entry
from edgekit.runtime.litert import open_tflite
from edgekit.runtime.reference import ReferenceSession
from tests.emit.tflite.sketch import Sketch

FOREIGN = Path("weights") / "kws_ref_model.tflite"


@pytest.fixture(scope="module")
def sketch() -> Sketch:
    drawn = Sketch()
    stem = drawn.conv(drawn.input(1, 3, 6, 7), 4, kernel=(3, 3), clamp=(0.0, float("inf")))
    drawn.node("Add", stem, drawn.conv(stem, 4))
    drawn.gemm(drawn.node("Reshape", "v2", shape=(1, 80)), 5)
    return drawn


@pytest.fixture(scope="module")
def path(sketch: Sketch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("litert") / "model.tflite"
    export.write(sketch.int8("v4"), written)
    return written


@pytest.fixture(scope="module")
def integer_path(sketch: Sketch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("litert") / "model.tflite"
    export.write(sketch.int8("v4"), written, io="int8")
    return written


def test_runs_are_repeatable_and_leave_nothing_behind(path: Path, sketch: Sketch) -> None:
    session = open_tflite(path)
    first = session.run(sketch.feeds())["v4"]
    session.run({"x0": np.full((1, 3, 6, 7), 9, np.float32)})
    np.testing.assert_array_equal(session.run(sketch.feeds())["v4"], first)


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_agree_with_the_delegate(path: Path, sketch: Sketch, threads: int) -> None:
    scale = float(sketch.int8("v4").qparams["v4"].scale)
    results = [open_tflite(path, delegate=use, threads=threads).run(sketch.feeds())["v4"] for use in (True, False)]
    np.testing.assert_allclose(*results, atol=2.01 * scale)


def test_integers_go_in_and_out_as_stored(integer_path: Path, sketch: Sketch) -> None:
    quantized = sketch.int8("v4")
    session = open_tflite(integer_path)
    spec = session.inputs[0]
    assert (spec.dtype, spec.scale) == ("int8", float(quantized.qparams["x0"].scale))
    result = session.run({"x0": quantized.qparams["x0"].quantize(sketch.arrays["x0"])})["v4"]
    expected = ReferenceSession(quantized).run_integers(sketch.feeds())["v4"]
    assert result.dtype == np.int8
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_taps_are_inner_values_in_the_models_axis_order(path: Path, sketch: Sketch) -> None:
    quantized = sketch.int8("v4")
    session = open_tflite(path, taps=["v0", "v2", "v4", "absent"])
    assert [spec.name for spec in session.taps] == ["v0", "v2"]
    results = session.run(sketch.feeds())
    assert list(results) == ["v4", "v0", "v2"]
    assert results["v4"].dtype == np.float32
    expected = ReferenceSession(quantized, taps=["v0", "v2"]).run_integers(sketch.feeds())
    for spec in session.taps:
        assert (spec.dtype, spec.scale) == ("int8", float(quantized.qparams[spec.name].scale))
        assert results[spec.name].shape == expected[spec.name].shape
        assert np.abs(results[spec.name].astype(int) - expected[spec.name]).max() <= 1


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, "no value for input x0"),
        ({"x0": np.zeros((1, 6, 7, 3), np.float32)}, r"\(1, 6, 7, 3\); the file takes \(1, 3, 6, 7\)"),
        ({"x0": np.zeros((2, 3, 6, 7), np.float32)}, r"\(2, 3, 6, 7\)"),
        ({"x0": np.zeros((1, 3, 6, 7), np.complex64)}, "complex64"),
    ],
)
def test_feeds_that_do_not_fit_are_refused(path: Path, feeds, words) -> None:
    with pytest.raises(InputError, match=words):
        open_tflite(path).run(feeds)


def test_floats_are_never_cast_to_integers(integer_path: Path, sketch: Sketch) -> None:
    with pytest.raises(InputError, match="float32; the file takes int8") as caught:
        open_tflite(integer_path).run(sketch.feeds())
    assert "scale" in caught.value.hint


def test_values_that_the_kernels_refuse_are_an_input_error(tmp_path: Path) -> None:
    """An index beyond its table fits the border; only the kernel sees it."""
    drawn = Sketch()
    picked = drawn.node("Gather", drawn.weight(5, 3), drawn.indices(np.array([1, 4])), axis=0)
    export.write(drawn.float(picked), tmp_path / "model.tflite")
    session = open_tflite(tmp_path / "model.tflite")
    with pytest.raises(InputError, match=r"LiteRT cannot run .*: gather index out of bounds") as caught:
        session.run({"x0": np.array([1, 5])})
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(session.run(drawn.feeds())[picked], drawn.arrays[picked])


@pytest.mark.parametrize("io", ["float", "int8"])
def test_a_scalar_input_stays_a_scalar(tmp_path: Path, io: str) -> None:
    drawn = Sketch()
    product = drawn.node("Mul", drawn.gemm(drawn.input(1, 4), 6), drawn.input())
    quantized = drawn.int8(product)
    export.write(quantized, tmp_path / "model.tflite", io=io)
    session = open_tflite(tmp_path / "model.tflite")
    assert session.inputs[1].shape == ()
    given = drawn.feeds()
    if io == "int8":
        given = {name: quantized.qparams[name].quantize(array) for name, array in given.items()}
    result = session.run(given)[product]
    expected = ReferenceSession(quantized)
    if io == "int8":
        assert np.abs(result.astype(int) - expected.run_integers(drawn.feeds())[product]).max() <= 1
    else:
        step = 1.01 * float(quantized.qparams[product].scale)
        np.testing.assert_allclose(result, expected.run(drawn.feeds())[product], atol=step)


def test_nothing_is_printed(path: Path, sketch: Sketch, capfd: pytest.CaptureFixture[str]) -> None:
    open_tflite(path).run(sketch.feeds())
    assert capfd.readouterr() == ("", "")


@pytest.mark.data
def test_a_file_of_others_is_taken_as_it_is(shared_data: Path) -> None:
    session = open_tflite(shared_data / FOREIGN)
    (spec,) = session.inputs
    assert (spec.shape, spec.dtype, spec.permutation, spec.zero_point) == ((1, 49, 10, 1), "int8", None, 83)
    (output,) = session.outputs
    result = session.run({spec.name: np.zeros(spec.shape, np.int8)})[output.name]
    assert result.shape == (1, 12)
    assert session.metadata == {}


@pytest.mark.parametrize(
    ("contents", "words"),
    [(b"", "TFL3"), (b"PK\x03\x04" + bytes(100), "TFL3"), (b"\x10\x00\x00\x00TFL3" + b"\xff" * 100, "offset")],
)
def test_what_is_no_tflite_file_is_refused(tmp_path: Path, contents: bytes, words: str) -> None:
    (tmp_path / "model.tflite").write_bytes(contents)
    with pytest.raises(ModelLoadError, match=words):
        open_tflite(tmp_path / "model.tflite")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"absent\.tflite"):
        open_tflite(tmp_path / "absent.tflite")


def test_metadata_that_lies_about_the_border_is_refused(path: Path, tmp_path: Path) -> None:
    contents = path.read_bytes()
    for before, after in (
        (b'"permutation":[0,2,3,1]', b'"permutation":[0,2,2,1]'),
        (b'"outputs":[{', b'"ourputs":[{'),
        (b'{"inputs":', b'["inputs":'),
    ):
        assert before in contents
        (tmp_path / "model.tflite").write_bytes(contents.replace(before, after, 1))
        if before.startswith(b'"outputs'):
            assert open_tflite(tmp_path / "model.tflite").outputs[0].name == "v4"
        else:
            with pytest.raises(ModelLoadError):
                open_tflite(tmp_path / "model.tflite")


@given(data=st.data())
def test_damaged_offsets_never_lead_outside(path: Path, data: st.DataObject) -> None:
    """The reader of metadata works on the bytes themselves: it finds text or raises ValueError, nothing else."""
    contents = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(8, len(contents) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(contents)))
    with contextlib.suppress(ValueError):
        metadata_entry(bytes(contents[:end]), "edgekit")


_FUZZ = """
import sys
from pathlib import Path
import numpy as np
from edgekit.errors import ModelLoadError
from edgekit.runtime.litert import open_tflite
contents, scratch = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
refused = 0
for seed in range(80):
    rng = np.random.default_rng(seed)
    damaged = bytearray(contents)
    if seed % 4 == 0:
        damaged = damaged[: rng.integers(len(damaged))]
    for _ in range(seed % 4):
        damaged[rng.integers(len(damaged))] = rng.integers(256)
    scratch.write_bytes(damaged)
    try:
        open_tflite(scratch)
    except ModelLoadError:
        refused += 1
print(refused)
"""


def test_damaged_files_are_refused_or_loaded_never_fatal(path: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FUZZ, str(path), str(tmp_path / "damaged.tflite")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20  # every truncated one
